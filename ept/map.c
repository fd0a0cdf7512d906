/* SPDX-License-Identifier: MIT */
/* Mapping and unmapping of ranges. */
#include "ept/iter.h"

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

/* Links an empty table into a slot that maps nothing. 0: look again. */
static int link_empty(struct ept_cpu *me, struct ept_slot *s)
{
	hpa_t table;
	int err = table_make(me, (enum pg_level)(s->level - 1), EPT_WHY_MAP, &table);

	if (err)
		return err;
	if (!slot_swap(s, entry_table(me->ept->fmt, table)))
		table_discard(me, table);
	return 0;
}

/* One leaf, as large as it can be; *level says how large it became. */
static int map_one(struct ept_cpu *me, gfn_t gfn, struct ept_state *s)
{
	const struct ept_format *fmt = me->ept->fmt;

	for (;;) {
		struct ept_slot slot = slot_find(me->ept, gfn, s->level);
		enum ept_kind kind = entry_kind(fmt, slot.entry, slot.level);
		int err;

		if (kind == EPT_TABLE) {
			s->level--; /* smaller pieces were mapped in this table before */
			continue;
		}
		if (kind != EPT_NONE)
			return -EEXIST;
		if (slot.level > s->level) {
			err = link_empty(me, &slot);
			if (err)
				return err;
			continue;
		}
		if (!slot_swap(&slot, entry_encode(fmt, s)))
			continue;
		if (s->kind == EPT_PRESENT) {
			ept_stat_add(ept_stat_pages(&me->stats, s->level), 1);
			table_count(slot.table, 1);
		}
		return 0;
	}
}

static void roll_back(struct ept_cpu *me, gfn_t gfn, uint64_t frames)
{
	struct ept_gather g;

	ept_gather_init(&g, me);
	/* Its edges are those of leaves that were just made: nothing to split, so it can't fail. */
	if (frames && ept_unmap(me, gfn, frames, &g) == 0)
		ept_sync(&g);
}

static bool anything_mapped(const struct ept *ept, gfn_t gfn, uint64_t frames)
{
	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_4K);

	while (ept_iter_next(&it)) {
		enum ept_kind kind = ept_iter_kind(&it);

		if (kind != EPT_NONE && kind != EPT_TABLE)
			return true;
	}
	return false;
}

/* Rights that a leaf can give: one without any would look hidden, hardware refuses "write, but not
 * read" as a misconfiguration, and not every format can keep a guest from reading what it runs. */
static bool perms_ok(const struct ept_format *fmt, unsigned int perms)
{
	if (!perms || (perms & ~(unsigned int)EPT_RWX) || (perms & EPT_W && !(perms & EPT_R)))
		return false;
	return fmt->perms_of(fmt->leaf(PG_LEVEL_4K, perms, EPT_WB)) == perms;
}

int ept_map(struct ept_cpu *me, gfn_t gfn, uint64_t frames, hpa_t backing, unsigned int perms,
	    enum ept_memtype memtype, enum ept_kind kind)
{
	const struct ept *ept = me->ept;
	uint64_t done = 0;

	if (!gfn_range_ok(ept, gfn, frames) || !IS_ALIGNED(backing.v, PAGE_SIZE) ||
	    (kind != EPT_ABSENT && kind != EPT_PRESENT) || !perms_ok(ept->fmt, perms))
		return -EINVAL;
	if (anything_mapped(ept, gfn, frames))
		return -EEXIST;
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
			roll_back(me, gfn, done);
			return err;
		}
		done += fmt_frames(ept->fmt, s.level);
	}
	return 0;
}

/* --- unmapping ---------------------------------------------------------------------------- */

/* What reaches across this edge becomes smaller, down to where the edge is aligned. */
static int split_edge(struct ept_cpu *me, gfn_t edge, struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	enum pg_level level = ept->leaf_max;
	int err;

	if (edge == fmt_space(ept->fmt))
		return 0;
	while (level > PG_LEVEL_4K && !IS_ALIGNED(edge, fmt_frames(ept->fmt, level)))
		level--;
	do {
		err = ept_split(me, edge, level, EPT_WHY_ASKED, g);
	} while (err == -EBUSY);
	return err == -ENOENT || err == -EHWPOISON ? 0 : err;
}

/* One slot that holds no table becomes NONE; waits for whoever fills it. False: look again. */
static bool clear_slot(struct ept_cpu *me, struct ept_slot *s, struct ept_gather *g)
{
	switch (entry_kind(me->ept->fmt, s->entry, s->level)) {
	case EPT_NONE:
		return true;
	case EPT_PRESENT:
		if (!slot_lock(me->ept, s, EPT_PRESENT))
			return false;
		while (!slot_swap(s, 0))
			cpu_relax();
		table_count(s->table, -1);
		ept_stat_add(ept_stat_pages(&me->stats, s->level), -1);
		slot_unlock(s);
		g->owed = true;
		return true;
	case EPT_ABSENT:
	case EPT_POISON:
		return slot_swap(s, 0);
	default:
		cpu_relax();
		return false;
	}
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

/* Tables that lie wholly in the range, from the smallest up. */
static void drop_tables(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;

	for (enum pg_level level = PG_LEVEL_2M; level <= fmt->top; level++) {
		uint64_t size = fmt_frames(fmt, level);
		gfn_t at = ALIGN_UP(gfn, size);

		while (at < gfn + frames && gfn + frames - at >= size) {
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

static int split_edges(struct ept_cpu *me, gfn_t gfn, gfn_t end, struct ept_gather *g)
{
	int err = split_edge(me, gfn, g);

	return err ? err : split_edge(me, end, g);
}

int ept_unmap(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	gfn_t at = gfn, end = gfn + frames;
	int err;

	if (!gfn_range_ok(me->ept, gfn, frames))
		return -EINVAL;
	err = split_edges(me, gfn, end, g);
	while (!err && at < end) {
		struct ept_slot s = slot_find(me->ept, at, PG_LEVEL_4K);
		gfn_t from = fmt_base(fmt, at, s.level), to = from + fmt_frames(fmt, s.level);

		/* Another CPU may have collapsed the pieces at an edge again. */
		if (s.entry && (from < gfn || to > end))
			err = split_edges(me, gfn, end, g);
		else if (clear_slot(me, &s, g))
			at = to;
	}
	if (!err)
		drop_tables(me, gfn, frames, g);
	return err;
}
