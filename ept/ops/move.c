/* SPDX-License-Identifier: MIT */
/*
 * Moving a range to other guest addresses. See ept/range.h.
 *
 * All that can fail for want of a table is done before the first entry moves: each gets a place of
 * its size, which is reserved. Then the entries move, and each leaves its slot reserved for the way
 * back. So a move that finds no table page has moved nothing; and if another CPU gets in the way
 * later, the way back needs no tables. Meanwhile nobody takes an empty table away: what is reserved
 * is something.
 */
#include "ept/ops/each.h"
#include "ept/ops/map.h"
#include "ept/path/split.h"
#include "ept/range.h"
#include "ept/tree/gather.h"
#include "ept/tree/iter.h"
#include "ept/tree/limits.h"

struct moving {
	struct change change;
	gfn_t distance; /* from an old address to its new one */
};

/* To others a reserved slot is frozen. No other frozen entry is without rights. */
static uint64_t reservation(const struct ept *ept, struct ept_state was)
{
	(void)ept;
	(void)was;
	return entry_with_kind(0, EPT_FROZEN);
}

/* Accessed and dirty bits that come late may be in it. */
static bool move_reserved(const struct ept_format *fmt, uint64_t e)
{
	return entry_kind(fmt, e, PG_LEVEL_4K) == EPT_FROZEN && !(e & ENTRY_PERMS_MASK);
}

/* Reserves the slot of `level` for gfn. EPT_SMALLER: there is a table in it; EPT_NO_TABLE. */
static int move_reserve(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_slot *place)
{
	for (;;) {
		int err = slot_make(me, gfn, level, place);

		if (err == EPT_HERE && move_reserved(me->ept->fmt, place->entry)) {
			if (place->level == level)
				return 0;
			/* What it was reserved for has been split since. */
			atomic_store_explicit(place->at, 0, memory_order_release);
			continue;
		}
		if (err)
			return err;
		if (slot_put(me, place, entry_with_kind(0, EPT_FROZEN)))
			return 0;
	}
}

/* A place for one entry. The entry becomes smaller where the place does not allow its size: aligned
 * otherwise, or a table is there. */
static int make_place(struct ept_cpu *me, const struct ept_slot *s, gfn_t gfn,
		      const struct change *c, struct ept_gather *g, struct ept_slot *place)
{
	gfn_t to = ((const struct moving *)c)->distance + gfn;
	int err = EPT_SMALLER;

	if (entry_kind(me->ept->fmt, s->entry, s->level) == EPT_FROZEN)
		return EPT_BUSY;
	if (IS_ALIGNED(to, fmt_frames(me->ept->fmt, s->level)))
		err = move_reserve(me, to, s->level, place);
	if (err != EPT_SMALLER)
		return err;
	err = split_anything(me, gfn, level_below(s->level), EPT_WHY_MAP, g);
	return err ? err : EPT_LOOK_AGAIN;
}

static int prepare_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
			struct ept_gather *g)
{
	struct ept_slot place;

	return make_place(me, s, gfn, c, g, &place);
}

/* The place is ours. */
static void move_put(struct ept_cpu *me, struct ept_slot *place, uint64_t entry)
{
	atomic_store_explicit(place->at, entry, memory_order_release);
	if (entry_kind(me->ept->fmt, entry, place->level) == EPT_PRESENT)
		(void)leaf_counted(me, place->table, place->level, 1);
	table_dirtied(place->table);
	ept_stat_add(&me->stats.moved, 1);
}

/* One entry, to where the whole range goes. */
static int move_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
		     struct ept_gather *g)
{
	struct ept_slot place;
	uint64_t entry;
	int err = make_place(me, s, gfn, c, g, &place);

	if (!err)
		err = slot_take(me, s, reservation, &entry, g);
	if (!err)
		move_put(me, &place, entry);
	return err;
}

/* Does one pass of [from, from + frames) on its way to `to`, as far as it goes. */
static int pass(struct ept_cpu *me, gfn_t from, gfn_t to, uint64_t frames, struct ept_gather *g,
		int (*slot)(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn,
			    const struct change *c, struct ept_gather *g))
{
	const struct moving m = {
		.change = { .why = EPT_WHY_MAP, .slot = slot },
		.distance = to - from,
	};

	return change_each(me, from, frames, &m.change, g);
}

static void clear_reserved(struct ept_cpu *me, gfn_t gfn, uint64_t frames)
{
	struct ept_iter it = ept_iter(me->ept, gfn, frames, PG_LEVEL_4K);

	while (ept_iter_next(&it))
		if (move_reserved(me->ept->fmt, it.slot.entry))
			atomic_store_explicit(it.slot.at, 0, memory_order_release);
}

int ept_move(struct ept_cpu *me, gfn_t from, gfn_t to, uint64_t frames, struct ept_gather *g)
{
	int err;

	if (!gfn_range_ok(me->ept, from, frames) || !gfn_range_ok(me->ept, to, frames) ||
	    (from < to + frames && to < from + frames))
		return EPT_INVALID;
	if (anything_mapped(me->ept, to, frames))
		return EPT_HERE;
	/* Bits that come late to tables unlinked before look for the pages where they are now. */
	if (g->n)
		ept_sync(g);
	err = pass(me, from, to, frames, g, prepare_slot);
	if (!err)
		err = pass(me, from, to, frames, g, move_slot);
	clear_reserved(me, to, frames);
	/* Whoever froze something of it meanwhile needs us to stand outside: then part of it stays
	 * at `to`. */
	if (err && pass(me, to, from, frames, g, move_slot) == 0)
		clear_reserved(me, to, frames);
	clear_reserved(me, from, frames);
	drop_tables(me, from, frames, g);
	drop_tables(me, to, frames, g);
	return err;
}
