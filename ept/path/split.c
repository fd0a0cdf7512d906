/* SPDX-License-Identifier: MIT */
/* Splitting: one entry becomes a table of smaller ones that say the same. */
#include "ept/path/split.h"

#include "ept/tree/limits.h"

static void split_done(struct ept_cpu *me, _Atomic int64_t *counter, gfn_t gfn, enum pg_level level)
{
	ept_stat_add(counter, 1);
	ept_trace(me, EPT_EV_SPLIT, fmt_base(me->ept->fmt, gfn, level), level);
}

/*
 * A hidden entry says the same at every level, and holds its frame inverted: the pieces' entries
 * count down from it.
 */
int split_absent(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, enum ept_why why)
{
	const struct ept_format *fmt = me->ept->fmt;
	enum pg_level below = level_below(s->level);
	hpa_t table;
	int err = table_make(me, below, why, &table);

	if (err)
		return err;
	table_fill(me->ept, table, s->entry, -fmt_bytes(fmt, below));
	if (!slot_swap(s, entry_table(fmt, table))) {
		table_discard(me, table);
		ept_stat_add(&me->stats.split_races, 1);
		return 0;
	}
	split_done(me, &me->stats.splits_absent, gfn, s->level);
	return 0;
}

/* The entry of the first piece of a present leaf; the others follow a piece's bytes apart. */
static uint64_t first_piece(const struct ept *ept, uint64_t entry, enum pg_level level)
{
	struct ept_state s = entry_decode(ept->fmt, entry, level);

	s.level = level_below(level);
	return leaf_encode(ept, s); /* a small piece may be executed where a large one may not */
}

/* Under the lock only hardware changes a present leaf, and only its accessed and dirty bits: then
 * the pieces are written anew with these. */
static void link_pieces(struct ept_cpu *me, struct ept_slot *s, hpa_t table)
{
	const struct ept_format *fmt = me->ept->fmt;
	struct ept_table *meta = table_meta(me->ept, table);
	uint64_t step = fmt_bytes(fmt, level_below(s->level));

	atomic_store_explicit(&meta->present, (uint16_t)fmt_entries(fmt), memory_order_relaxed);
	do {
		table_fill(me->ept, table, first_piece(me->ept, s->entry, s->level), step);
	} while (!slot_swap(s, entry_table(fmt, table)));
	(void)leaf_counted(me, s->table, s->level, -1);
	pieces_counted(me, level_below(s->level), 1);
}

static int split_present(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, enum ept_why why,
			 struct ept_gather *g)
{
	hpa_t table;
	int err = table_make(me, level_below(s->level), why, &table);

	if (err)
		return err;
	if (!slot_lock(me->ept, s, EPT_PRESENT)) {
		table_discard(me, table);
		ept_stat_add(&me->stats.split_races, 1);
		return 0;
	}
	link_pieces(me, s, table);
	slot_unlock(s);
	g->owed = true;
	split_done(me, &me->stats.splits_present, gfn, s->level);
	return 0;
}

struct splitting {
	enum pg_level level;
	enum ept_why why;
	bool anything; /* also what is lost or being filled, and nothing is fine */
	struct ept_gather *g;
};

/* One step towards the level. */
static int split_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, void *arg)
{
	const struct splitting *how = arg;
	enum ept_kind kind = entry_kind(me->ept->fmt, s->entry, s->level);
	bool small = s->level == how->level;
	int err;

	switch (kind) {
	case EPT_NONE:
		return how->anything ? 0 : EPT_UNMAPPED;
	case EPT_POISON:
		if (!how->anything)
			return EPT_LOST;
		break;
	case EPT_FROZEN:
		return how->anything && small ? 0 : EPT_BUSY;
	case EPT_FILLING:
		if (small)
			return 0;
		if (!how->anything)
			return EPT_BUSY;
		cpu_relax(); /* its owner is not long about it */
		return EPT_LOOK_AGAIN;
	case EPT_TABLE:
		return 0; /* smaller than that */
	default:
		break;
	}
	if (small)
		return 0;
	err = kind == EPT_PRESENT ? split_present(me, s, gfn, how->why, how->g)
				  : split_absent(me, s, gfn, how->why);
	return err ? err : EPT_LOOK_AGAIN;
}

/* One caller for the steps, so that the compiler makes one loop of them. */
static int split_steps(struct ept_cpu *me, gfn_t gfn, struct splitting *how)
{
	return slot_settle(me, gfn, how->level, split_slot, how);
}

int ept_split(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
	      struct ept_gather *g)
{
	struct splitting how = { .level = level, .why = why, .g = g };

	if (!gfn_range_ok(me->ept, gfn, 1) || !fmt_may_be_leaf(me->ept->fmt, level))
		return EPT_INVALID;
	return split_steps(me, gfn, &how);
}

int split_anything(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
		   struct ept_gather *g)
{
	struct splitting how = { .level = level, .why = why, .anything = true, .g = g };

	return split_steps(me, gfn, &how);
}

void ept_split_range(struct ept_cpu *me, gfn_t gfn, uint64_t frames, enum pg_level level,
		     enum ept_why why, struct ept_gather *g, struct ept_split_result *result)
{
	struct ept *ept = me->ept;
	gfn_t at = gfn, end = gfn + frames;

	*result = (struct ept_split_result){ 0 };
	if (!gfn_range_ok(ept, gfn, frames) || !fmt_may_be_leaf(ept->fmt, level))
		return;
	while (at < end) {
		int64_t before = me->stats.splits_absent + me->stats.splits_present;
		int err = ept_split(me, at, level, why, g);
		enum pg_level now = slot_find(ept, at, level).level;

		if (err)
			result->refused[ept_nr((enum ept_refusal)err)]++;
		result->split +=
			(uint64_t)(me->stats.splits_absent + me->stats.splits_present - before);
		at = fmt_base(ept->fmt, at, now) + fmt_frames(ept->fmt, now);
	}
}
