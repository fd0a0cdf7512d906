/* SPDX-License-Identifier: MIT */
/* Mapping and unmapping of ranges. */
#include "ept/ops/map.h"

#include "ept/ops/each.h"
#include "ept/tree/gather.h"
#include "ept/tree/iter.h"
#include "ept/tree/limits.h"

/* The largest leaf that can begin here. */
static enum pg_level fitting_level(const struct ept *ept, gfn_t gfn, uint64_t frames, hpa_t backing)
{
	enum pg_level level = ept->leaf_max;

	while (level > PG_LEVEL_4K &&
	       (!fmt_may_be_leaf(ept->fmt, level) || frames < fmt_frames(ept->fmt, level) ||
		!IS_ALIGNED(gfn, fmt_frames(ept->fmt, level)) ||
		!IS_ALIGNED(backing.v, fmt_bytes(ept->fmt, level))))
		level--;
	return level;
}

/* One leaf, as large as it can be; *level says how large it became. */
static int map_one(struct ept_cpu *me, gfn_t gfn, struct ept_state *s)
{
	const struct ept *ept = me->ept;
	struct ept_slot slot;
	int err;

	for (;;) {
		err = slot_make(me, gfn, s->level, &slot);
		if (err == EPT_SMALLER)
			s->level--; /* smaller pieces were mapped in this table before */
		else if (err)
			return err;
		else if (slot_put(me, &slot,
				  s->kind == EPT_PRESENT ? leaf_encode(ept, *s)
							 : entry_encode(ept->fmt, s)))
			return 0;
	}
}

/* Of [gfn, gfn + frames), `done` frames are mapped by this call. */
static void roll_back(struct ept_cpu *me, gfn_t gfn, uint64_t done, uint64_t frames)
{
	struct ept_gather g;

	ept_gather_init(&g, me);
	/* Its edges are those of leaves that were just made: nothing to split. */
	if (done)
		(void)!ept_unmap(me, gfn, done, &g);
	/* Tables were made for what then could not be mapped. */
	drop_tables(me, gfn, frames, &g);
	ept_sync(&g);
}

bool anything_mapped(const struct ept *ept, gfn_t gfn, uint64_t frames)
{
	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_4K);

	while (ept_iter_next(&it)) {
		enum ept_kind kind = ept_iter_kind(&it);

		if (kind != EPT_NONE && kind != EPT_TABLE)
			return true;
	}
	return false;
}

int ept_map(struct ept_cpu *me, gfn_t gfn, uint64_t frames, hpa_t backing, unsigned int perms,
	    enum ept_memtype memtype, enum ept_kind kind)
{
	const struct ept *ept = me->ept;
	uint64_t done = 0;

	if (!gfn_range_ok(ept, gfn, frames) || !backing_ok(ept, backing, frames) ||
	    (kind != EPT_ABSENT && kind != EPT_PRESENT) || !perms_ok(ept, perms) ||
	    !memtype_ok(ept, memtype))
		return EPT_INVALID;
	if (anything_mapped(ept, gfn, frames))
		return EPT_HERE;
	while (done < frames) {
		struct ept_state s = {
			.kind = kind,
			.frame = hpa(backing.v + (done << PAGE_SHIFT)),
			.perms = perms,
			.memtype = memtype,
		};
		int err;

		s.level = fitting_level(ept, gfn + done, frames - done, s.frame);
		err = map_one(me, gfn + done, &s);
		if (err) {
			roll_back(me, gfn, done, frames);
			return err;
		}
		done += fmt_frames(ept->fmt, s.level);
	}
	return 0;
}

/* --- unmapping ---------------------------------------------------------------------------- */

static uint64_t nothing(const struct ept *ept, struct ept_state was)
{
	(void)ept;
	(void)was;
	return 0;
}

static int clear_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
		      struct ept_gather *g)
{
	uint64_t was;

	(void)gfn;
	(void)c;
	return slot_take(me, s, nothing, &was, g);
}

static bool table_empty(const struct ept *ept, hpa_t table)
{
	const _Atomic uint64_t *at = table_entries(ept, table);

	for (unsigned int i = 0; i < fmt_entries(ept->fmt); i++)
		if (atomic_load_explicit(&at[i], memory_order_relaxed))
			return false;
	return true;
}

/* Unlinks the slot's table if nothing is in it any more. */
static void drop_table(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, struct ept_gather *g)
{
	struct ept *ept = me->ept;
	struct ept_table *child;
	hpa_t table;

	if (!slot_lock(ept, s, EPT_TABLE))
		return;
	table = entry_child(ept->fmt, s->entry);
	child = table_meta(ept, table);
	table_lock(child);
	if (table_empty(ept, table)) {
		atomic_store_explicit(&child->dead, 1, memory_order_relaxed);
		while (!slot_swap(s, 0))
			cpu_relax();
		ept_stat_add(&me->stats.tables, -1);
		gather_table(g, table, gfn, s->level, 0, false);
	}
	table_unlock(child);
	slot_unlock(s);
}

/* From the smallest tables up. Two CPUs that empty one table together: each clears its entries
 * before it looks under the table's lock, so the second one sees all of them clear. */
void drop_tables(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;

	for (enum pg_level level = PG_LEVEL_2M; level <= fmt->top; level++) {
		gfn_t at = fmt_base(fmt, gfn, level);

		while (at < gfn + frames) {
			struct ept_slot s;

			/* This may flush: stand in no table yet. */
			gather_make_room(g);
			s = slot_find(me->ept, at, level);
			if (s.level == level && entry_kind(fmt, s.entry, level) == EPT_TABLE)
				drop_table(me, &s, at, g);
			at = fmt_base(fmt, at, s.level) + fmt_frames(fmt, s.level);
		}
	}
}

int ept_unmap(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g)
{
	const struct change c = { .why = EPT_WHY_ASKED, .slot = clear_slot };
	int err = change_each(me, gfn, frames, &c, g);

	if (!err)
		drop_tables(me, gfn, frames, g);
	return err;
}
