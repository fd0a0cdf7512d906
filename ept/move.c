/* SPDX-License-Identifier: MIT */
/* Moving a range to other guest addresses. See ept/range.h. */
#include "ept/each.h"
#include "ept/range.h"

/* Nobody else maps anything there. */
static void put(struct ept_cpu *me, struct ept_slot *s, uint64_t entry)
{
	atomic_store_explicit(s->at, entry, memory_order_release);
	if (entry_kind(me->ept->fmt, entry, s->level) == EPT_PRESENT)
		leaf_counted(me, s->table, s->level, 1);
	ept_stat_add(&me->stats.moved, 1);
}

/* One entry, to where the whole range goes. It becomes smaller where its place does not allow it:
 * aligned otherwise, or a table left there from before. */
static int move_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
		     struct ept_gather *g)
{
	gfn_t to = c->to + gfn;
	struct ept_slot place;
	uint64_t entry;
	int err = -E2BIG;

	if (IS_ALIGNED(to, fmt_frames(me->ept->fmt, s->level)))
		err = slot_make(me, to, s->level, &place);
	if (err == -E2BIG) {
		err = split_anything(me, gfn, (enum pg_level)(s->level - 1), EPT_WHY_MAP, g);
		return err ? err : -EAGAIN;
	}
	if (!err)
		err = slot_take(me, s, &entry, g);
	if (!err)
		put(me, &place, entry);
	return err;
}

/* Moves `from` to `to`, as far as it goes. */
static int move(struct ept_cpu *me, gfn_t from, gfn_t to, uint64_t frames, struct ept_gather *g)
{
	const struct change c = { .why = EPT_WHY_MAP, .slot = move_slot, .to = to - from };

	return change_each(me, from, frames, &c, g);
}

int ept_move(struct ept_cpu *me, gfn_t from, gfn_t to, uint64_t frames, struct ept_gather *g)
{
	int err;

	if (!gfn_range_ok(me->ept, from, frames) || !gfn_range_ok(me->ept, to, frames) ||
	    (from < to + frames && to < from + frames))
		return -EINVAL;
	if (anything_mapped(me->ept, to, frames))
		return -EEXIST;
	/* Bits that come late to tables unlinked before look for the pages where they are now. */
	if (g->n)
		ept_sync(g);
	err = move(me, from, to, frames, g);
	/* The tables at `from` are still there, so the way back needs none. Who froze something of
	 * it meanwhile is not long about it, but needs us to stand outside: then the caller does
	 * the rest. */
	if (err && move(me, to, from, frames, g) == 0)
		drop_tables(me, to, frames, g);
	if (!err)
		drop_tables(me, from, frames, g);
	return err;
}
