/* SPDX-License-Identifier: MIT */
/* Splitting: one entry becomes a table of smaller ones that say the same. */
#include "ept/path/split.h"

#include "ept/tree/limits.h"

static void split_done(struct ept_cpu *me, _Atomic int64_t *counter, gfn_t gfn, enum pg_level level)
{
	ept_stat_add(counter, 1);
	ept_trace(me, EPT_EV_SPLIT, fmt_base(me->ept->fmt, gfn, level), level);
}

/* Writes entry, entry + step, entry + 2 * step, ... */
static void fill_table(const struct ept *ept, hpa_t table, uint64_t entry, uint64_t step)
{
	_Atomic uint64_t *at = table_entries(ept, table);
	_Atomic uint64_t *end = at + fmt_entries(ept->fmt);

	for (; at < end; at++, entry += step)
		atomic_store_explicit(at, entry, memory_order_relaxed);
}

/*
 * A hidden entry says the same at every level, and holds its frame inverted: the pieces' entries
 * count down from it.
 */
int split_absent(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, enum ept_why why)
{
	const struct ept_format *fmt = me->ept->fmt;
	enum pg_level below = (enum pg_level)(s->level - 1);
	hpa_t table;
	int err = table_make(me, below, why, &table);

	if (err)
		return err;
	fill_table(me->ept, table, s->entry, -fmt_bytes(fmt, below));
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

	s.level = (enum pg_level)(level - 1);
	return leaf_encode(ept, s); /* a small piece may be executed where a large one may not */
}

/* Under the lock only hardware changes a present leaf, and only its accessed and dirty bits: then
 * the pieces are written anew with these. */
static void link_pieces(struct ept_cpu *me, struct ept_slot *s, hpa_t table)
{
	const struct ept_format *fmt = me->ept->fmt;
	struct ept_table *meta = table_meta(me->ept, table);
	uint64_t step = fmt_bytes(fmt, (enum pg_level)(s->level - 1));

	atomic_store_explicit(&meta->present, (uint16_t)fmt_entries(fmt), memory_order_relaxed);
	do {
		fill_table(me->ept, table, first_piece(me->ept, s->entry, s->level), step);
	} while (!slot_swap(s, entry_table(fmt, table)));
	table_count(s->table, -1);
	ept_stat_add(ept_stat_pages(&me->stats, s->level), -1);
	ept_stat_add(ept_stat_pages(&me->stats, (enum pg_level)(s->level - 1)), fmt_entries(fmt));
}

static int split_present(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, enum ept_why why,
			 struct ept_gather *g)
{
	hpa_t table;
	int err = table_make(me, (enum pg_level)(s->level - 1), why, &table);

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

/* One step towards `level`. EPT_LOOK_AGAIN: look again; 0: it is that small. */
static int split_step(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
		      struct ept_gather *g)
{
	struct ept_slot s = slot_find(me->ept, gfn, level);
	int err;

	switch (entry_kind(me->ept->fmt, s.entry, s.level)) {
	case EPT_NONE:
		return EPT_UNMAPPED;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_FROZEN:
		return EPT_BUSY;
	case EPT_FILLING:
		return s.level == level ? 0 : EPT_BUSY;
	case EPT_ABSENT:
		err = s.level == level ? 0 : split_absent(me, &s, gfn, why);
		break;
	case EPT_PRESENT:
		err = s.level == level ? 0 : split_present(me, &s, gfn, why, g);
		break;
	default:
		return 0; /* a table: smaller than that */
	}
	return err || s.level == level ? err : EPT_LOOK_AGAIN;
}

int ept_split(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
	      struct ept_gather *g)
{
	int err;

	if (!gfn_range_ok(me->ept, gfn, 1) || !fmt_may_be_leaf(me->ept->fmt, level))
		return EPT_INVALID;
	do {
		err = split_step(me, gfn, level, why, g);
	} while (err == EPT_LOOK_AGAIN);
	return err;
}

int split_anything(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
		   struct ept_gather *g)
{
	for (;;) {
		int err = split_step(me, gfn, level, why, g);
		struct ept_slot s;

		if (err == EPT_UNMAPPED)
			return 0;
		if (err != EPT_LOOK_AGAIN && err != EPT_BUSY && err != EPT_LOST)
			return err;
		s = slot_find(me->ept, gfn, level);
		switch (entry_kind(me->ept->fmt, s.entry, s.level)) {
		case EPT_FROZEN:
			return s.level == level ? 0 : EPT_BUSY; /* as small as that already */
		case EPT_POISON:
			err = s.level == level ? 0 : split_absent(me, &s, gfn, why);
			if (err || s.level == level)
				return err;
			break;
		default:
			cpu_relax(); /* being filled: its owner is not long about it */
		}
	}
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
