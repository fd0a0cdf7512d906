/* SPDX-License-Identifier: MIT */
/* Dirty tracking. See ept/track.h. */
#include "ept/track.h"

#include "ept/tree/iter.h"
#include "ept/tree/limits.h"

int ept_track_begin(struct ept *ept, enum ept_track_by by)
{
	enum ept_track_by none = EPT_TRACK_NOT;

	if (by != EPT_TRACK_WRITES && by != EPT_TRACK_DIRTY)
		return EPT_INVALID;
	return atomic_compare_exchange_strong(&ept->track, &none, by) ? 0 : EPT_BUSY;
}

void ept_track_end(struct ept *ept)
{
	atomic_store(&ept->track, EPT_TRACK_NOT);
}

/* --- leaves that are alike ---------------------------------------------------------------- */

/*
 * The leaves of a table mostly differ in their frames alone. So what became of the other bits of
 * one is what becomes of the next one's.
 */
struct alike {
	uint64_t was;
	uint64_t is;
	bool known;
	bool lost; /* the guest can do less with what it is */
};

static struct ept_state mark(struct ept_state s, unsigned int on)
{
	s.tracked = on;
	return s;
}

static struct ept_state unwritten(struct ept_state s, unsigned int arg)
{
	(void)arg;
	s.dirty = false;
	return s;
}

/* What the leaf `e` becomes. All that `a` is used for are of one level, and change alike. */
static inline uint64_t changed(const struct ept *ept, struct alike *a, uint64_t e,
			       enum pg_level level,
			       struct ept_state (*change)(struct ept_state was, unsigned int arg),
			       unsigned int arg)
{
	uint64_t frame = e & ept->fmt->addr;

	if (__builtin_expect(!a->known || a->was != (e ^ frame), 0)) {
		struct ept_state was = entry_decode(ept->fmt, e, level), is = change(was, arg);

		*a = (struct alike){
			.was = e ^ frame,
			.is = leaf_encode(ept, is) & ~ept->fmt->addr,
			.known = true,
			.lost = was.perms & ~was.withheld & ~(is.perms & ~withheld_of(ept, &is)),
		};
	}
	return a->is | frame;
}

/* --- marks -------------------------------------------------------------------------------- */

/* With the slot's table locked. 0: it is as it shall be, or holds nothing that could be written;
 * EPT_LOOK_AGAIN: look again; EPT_BUSY: it is frozen. */
static int mark_locked(const struct ept *ept, struct ept_slot *s, bool on, struct alike *a,
		       struct ept_gather *g)
{
	uint64_t to = s->entry;

	do {
		switch (entry_kind(ept->fmt, s->entry, s->level)) {
		case EPT_PRESENT:
			if (on && s->level > PG_LEVEL_4K)
				return EPT_LOOK_AGAIN; /* it came meanwhile: split it first */
			to = changed(ept, a, s->entry, s->level, mark, on);
			g->owed |= a->lost;
			break;
		case EPT_ABSENT:
			to = on ? s->entry | ENTRY_TRACKED : s->entry & ~ENTRY_TRACKED;
			break;
		case EPT_FILLING:
			return EPT_LOOK_AGAIN;
		case EPT_FROZEN:
			return EPT_BUSY;
		case EPT_TABLE:
			return EPT_LOOK_AGAIN; /* somebody split what was absent */
		default:
			return 0;
		}
	} while (to != s->entry && !slot_swap(s, to));
	return 0;
}

/* Marks `max` slots of one table, from this one on, under one lock. Returns how many are done. */
static unsigned int mark_run(struct ept_cpu *me, struct ept_slot s, unsigned int max, bool on,
			     struct ept_gather *g, int *err)
{
	struct alike alike = { 0 };
	unsigned int done = 0;

	table_lock(s.table);
	*err = table_dead(s.table) ? EPT_LOOK_AGAIN : 0;
	for (; !*err && done < max; s.at++) {
		s.entry = atomic_load_explicit(s.at, memory_order_acquire);
		*err = mark_locked(me->ept, &s, on, &alike, g);
		done += !*err;
	}
	table_unlock(s.table);
	return done;
}

/* Must this entry be split before it can be marked? Present leaves must be 4 KiB to be tracked; and
 * an entry that only partly lies in the range must be split. */
static bool too_large(const struct ept_format *fmt, const struct ept_slot *s, gfn_t from, gfn_t end,
		      bool on)
{
	gfn_t base = fmt_base(fmt, from, s->level);
	enum ept_kind kind = entry_kind(fmt, s->entry, s->level);

	if (s->level == PG_LEVEL_4K || (kind != EPT_PRESENT && kind != EPT_ABSENT))
		return false;
	if (on && kind == EPT_PRESENT)
		return true;
	return !(s->entry & ENTRY_TRACKED) == on &&
	       (base < from || base + fmt_frames(fmt, s->level) > end);
}

/* Slots of the table, from the one that covers gfn on, that cover something before `end`; of large
 * ones, one. */
static unsigned int run_length(const struct ept_format *fmt, gfn_t gfn, gfn_t end,
			       enum pg_level level)
{
	uint64_t in_table = fmt_entries(fmt) - fmt_index(fmt, gfn, level);

	return level > PG_LEVEL_4K ? 1 : (unsigned int)MIN(in_table, end - gfn);
}

/* Marks [*next, end) for as long as the budget lasts; what is too large for it is split first. */
static int mark_some(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget, bool on,
		     struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	unsigned int spent = 0, done;
	int err = 0;

	if (*next >= end)
		return 0;
	if (!gfn_range_ok(me->ept, *next, end - *next))
		return EPT_INVALID;
	while (*next < end && spent < budget && !err) {
		struct ept_slot s = slot_find(me->ept, *next, PG_LEVEL_4K);

		if (too_large(fmt, &s, *next, end, on)) {
			err = ept_split(me, *next, level_below(s.level), EPT_WHY_DIRTY, g);
			spent += fmt_entries(fmt);
			/* Whatever else is there now will be seen in its own right. */
			if (err != EPT_NO_TABLE && err != EPT_BUSY)
				err = 0;
			continue;
		}
		done = run_length(fmt, *next, end, s.level);
		done = mark_run(me, s, MIN(done, budget - spent), on, g, &err);
		spent += done + !done;
		if (done)
			*next = fmt_base(fmt, *next, s.level) + done * fmt_frames(fmt, s.level);
		if (err == EPT_LOOK_AGAIN) {
			cpu_relax();
			err = 0;
		}
	}
	*next = MIN(*next, end);
	return err;
}

int ept_track_some(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
		   struct ept_gather *g)
{
	return mark_some(me, next, end, budget, true, g);
}

int ept_untrack_some(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
		     struct ept_gather *g)
{
	return mark_some(me, next, end, budget, false, g);
}

/* --- collecting --------------------------------------------------------------------------- */

static uint64_t report(uint64_t *bitmap, gfn_t from, gfn_t to)
{
	for (gfn_t i = from; i < to; i++)
		bitmap[i / 64] |= UINT64_C(1) << i % 64;
	return to - from;
}

/* Under tracking, and written or discarded, if it is memory at all: most entries are not. */
static inline bool may_be_dirty(const struct ept_format *fmt, uint64_t e)
{
	return e & ENTRY_TRACKED && e & (e & fmt->seen ? fmt->dirty : ENTRY_ZERO | ENTRY_DIRTY);
}

/* Clears the dirty bit of a leaf under tracking, if all of it is reported. False: it is clean.
 * Without the table's lock: see "who may change a slot". What is frozen is its owner's: it stays
 * dirty. */
static bool clean(const struct ept *ept, struct ept_slot *s, bool whole, struct alike *a)
{
	while (may_be_dirty(ept->fmt, s->entry)) {
		enum ept_kind kind = entry_kind(ept->fmt, s->entry, s->level);

		if (kind != EPT_PRESENT)
			return kind == EPT_ABSENT || kind == EPT_FROZEN;
		if (!whole || slot_swap(s, changed(ept, a, s->entry, s->level, unwritten, 0)))
			return true;
	}
	return false;
}

/* The pages [from, to), which one table of 4 KiB entries maps. Bit 0 stands for `first`. */
static uint64_t collect_table(const struct ept *ept, hpa_t table, gfn_t from, gfn_t to, gfn_t first,
			      uint64_t *bitmap)
{
	struct ept_slot s = { .level = PG_LEVEL_4K, .table = table_meta(ept, table) };
	struct alike alike = { 0 };
	uint64_t n = 0;

	s.at = &table_entries(ept, table)[fmt_index(ept->fmt, from, PG_LEVEL_4K)];
	for (gfn_t gfn = from; gfn < to; gfn++, s.at++) {
		s.entry = atomic_load_explicit(s.at, memory_order_acquire);
		if (may_be_dirty(ept->fmt, s.entry) && clean(ept, &s, true, &alike))
			n += report(bitmap, gfn - first, gfn - first + 1);
	}
	return n;
}

uint64_t ept_track_collect(struct ept_cpu *me, gfn_t gfn, uint64_t frames, uint64_t *bitmap,
			   struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_2M);
	gfn_t end = gfn + frames;
	uint64_t n = 0;

	if (!gfn_range_ok(ept, gfn, frames))
		return 0;
	while (ept_iter_next(&it)) {
		gfn_t from = MAX(it.gfn, gfn), to = MIN(it.gfn + ept_iter_frames(&it), end);
		struct alike alike = { 0 };

		if (it.slot.level == PG_LEVEL_2M && ept_iter_kind(&it) == EPT_TABLE)
			n += collect_table(ept, entry_child(ept->fmt, it.slot.entry), from, to, gfn,
					   bitmap);
		else if (clean(ept, &it.slot, to - from == ept_iter_frames(&it), &alike))
			n += report(bitmap, from - gfn, to - gfn);
	}
	if (n)
		g->owed = true;
	return n;
}
