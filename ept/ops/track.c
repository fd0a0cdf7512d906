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

	if (!a->known || a->was != (e ^ frame)) {
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

/* A mark alone: it changes nothing of what the hardware sees. */
static void mark_leaves(_Atomic uint64_t *at, unsigned int n, bool on)
{
	const _Atomic uint64_t *end = at + n;

	if (on) {
		TABLE_LOOP
		for (; at < end; at++)
			atomic_fetch_or_explicit(at, ENTRY_TRACKED, memory_order_relaxed);
	} else {
		TABLE_LOOP
		for (; at < end; at++)
			atomic_fetch_and_explicit(at, ~ENTRY_TRACKED, memory_order_relaxed);
	}
}

/* With the table's lock held: only hardware changes its entries, and it looks at no marks. */
static bool only_marks(const struct ept *ept, const struct ept_table *t)
{
	return t->level == PG_LEVEL_4K && table_complete(ept, t) &&
	       atomic_load_explicit(&ept->track, memory_order_relaxed) == EPT_TRACK_DIRTY;
}

/* Marks `max` slots of one table, from this one on, under one lock. Returns how many are done. */
static unsigned int mark_run(struct ept_cpu *me, struct ept_slot s, unsigned int max, bool on,
			     struct ept_gather *g, int *err)
{
	struct alike alike = { 0 };
	unsigned int done = 0;

	table_lock(s.table);
	*err = table_dead(s.table) ? EPT_LOOK_AGAIN : 0;
	if (!*err && only_marks(me->ept, s.table)) {
		mark_leaves(s.at, max, on);
		done = max;
	}
	for (; !*err && done < max; s.at++) {
		s.entry = atomic_load_explicit(s.at, memory_order_acquire);
		*err = mark_locked(me->ept, &s, on, &alike, g);
		done += !*err;
	}
	slot_unlock(&s);
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

/* Part of a table of 4 KiB entries. */
struct piece {
	_Atomic uint64_t *at;
	gfn_t bit; /* in the bitmap, of the first */
	uint64_t n;
};

#define GROUP 8 /* entries that are looked at together: a byte of the bitmap */

/* With the lock of their table held, which is complete: see only_marks(). Out of line: most groups
 * have nothing that is dirty. */
static __attribute__((noinline)) unsigned int collect_group(_Atomic uint64_t *at, uint64_t dirty,
							    uint8_t *bits)
{
	const uint64_t both = ENTRY_TRACKED | dirty;
	unsigned int n = 0;

	TABLE_LOOP
	for (unsigned int i = 0; i < GROUP; i++) {
		if ((entry_peek(&at[i]) & both) != both)
			continue;
		atomic_fetch_and_explicit(&at[i], ~dirty, memory_order_acq_rel);
		*bits |= (uint8_t)(1u << i);
		n++;
	}
	return n;
}

static uint64_t collect_leaves(const struct ept *ept, struct piece p, uint64_t *bitmap)
{
	uint8_t *bits = (uint8_t *)bitmap + p.bit / 8;
	uint64_t dirty = ept->fmt->dirty, n = 0;

	for (_Atomic uint64_t *end = p.at + p.n; p.at < end; p.at += GROUP, bits++) {
		uint64_t any = 0;

		TABLE_LOOP
		for (unsigned int i = 0; i < GROUP; i++)
			any |= entry_peek(&p.at[i]);
		if (any & dirty)
			n += collect_group(p.at, dirty, bits);
	}
	return n;
}

/* Whatever they are. *left: something may still be dirty. */
static uint64_t collect_entries(const struct ept *ept, struct piece p, uint64_t *bitmap, bool *left)
{
	struct ept_slot s = { .at = p.at, .level = PG_LEVEL_4K };
	struct alike alike = { 0 };
	uint64_t n = 0;

	for (uint64_t i = 0; i < p.n; i++, s.at++) {
		s.entry = atomic_load_explicit(s.at, memory_order_acquire);
		if (!may_be_dirty(ept->fmt, s.entry))
			continue;
		if (clean(ept, &s, true, &alike))
			n += report(bitmap, p.bit + i, p.bit + i + 1);
		*left |= !(s.entry & ept->fmt->seen);
	}
	return n;
}

/*
 * Nobody looks into a table where nothing can be dirty: it is quiet, and since the last collection
 * but one no CPU has walked it, or its slot would be marked as accessed. That mark is cleared when
 * a walk left nothing dirty; until the flush a CPU may go on by a pointer that it remembers, and
 * mark a page as dirty but not the slot. So a table is called quiet by the collection after that.
 */
static void forget_walks(struct ept_slot *s, struct ept_table *child, uint64_t accessed,
			 struct ept_gather *g)
{
	table_dirtied(child);
	/* A collapse, too, must not rely on the mark from now on. */
	atomic_fetch_or_explicit(&child->why, EPT_WHY_DIRTY, memory_order_relaxed);
	if (slot_swap(s, s->entry & ~accessed))
		g->owed = true;
}

/* What the slot's table maps, in part or all of it. `settled`: no flush is owed that would make
 * CPUs forget their pointers. */
static uint64_t collect_table(const struct ept *ept, struct ept_slot *s, gfn_t from, gfn_t to,
			      gfn_t first, bool settled, uint64_t *bitmap, struct ept_gather *g)
{
	hpa_t table = entry_child(ept->fmt, s->entry);
	struct ept_table *child = table_meta(ept, table);
	struct piece p = {
		.at = &table_entries(ept, table)[fmt_index(ept->fmt, from, PG_LEVEL_4K)],
		.bit = from - first,
		.n = to - from,
	};
	bool walked = s->entry & ept->fmt->accessed, whole = p.n == fmt_entries(ept->fmt);
	bool left = false;
	uint64_t n;

	if (!walked && atomic_load_explicit(&child->quiet, memory_order_acquire))
		return 0;
	table_lock(child);
	/* Before we look: who makes something dirty meanwhile takes it back. */
	if (!walked && whole && settled)
		(void)atomic_exchange_explicit(&child->quiet, 1, memory_order_acq_rel);
	if (only_marks(ept, child) && !(p.n % GROUP) && !(p.bit % GROUP))
		n = collect_leaves(ept, p, bitmap);
	else
		n = collect_entries(ept, p, bitmap, &left);
	if (left)
		table_dirtied(child);
	table_unlock(child);
	if (walked && whole && !n && !left)
		forget_walks(s, child, ept->fmt->accessed, g);
	return n;
}

uint64_t ept_track_collect(struct ept_cpu *me, gfn_t gfn, uint64_t frames, uint64_t *bitmap,
			   struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_2M);
	gfn_t end = gfn + frames;
	bool settled = !g->owed;
	uint64_t n = 0;

	if (!gfn_range_ok(ept, gfn, frames))
		return 0;
	while (ept_iter_next(&it)) {
		gfn_t from = MAX(it.gfn, gfn), to = MIN(it.gfn + ept_iter_frames(&it), end);
		struct alike alike = { 0 };

		if (it.slot.level == PG_LEVEL_2M && ept_iter_kind(&it) == EPT_TABLE)
			n += collect_table(ept, &it.slot, from, to, gfn, settled, bitmap, g);
		else if (clean(ept, &it.slot, to - from == ept_iter_frames(&it), &alike))
			n += report(bitmap, from - gfn, to - gfn);
	}
	if (n)
		g->owed = true;
	return n;
}
