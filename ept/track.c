/* SPDX-License-Identifier: MIT */
/* Dirty tracking. See ept/track.h. */
#include "ept/track.h"

#include "ept/iter.h"

int ept_track_begin(struct ept *ept, enum ept_track_by by)
{
	enum ept_track_by none = EPT_TRACK_NOT;

	if (by != EPT_TRACK_WRITES && by != EPT_TRACK_DIRTY)
		return -EINVAL;
	return atomic_compare_exchange_strong(&ept->track, &none, by) ? 0 : -EBUSY;
}

void ept_track_end(struct ept *ept)
{
	atomic_store(&ept->track, EPT_TRACK_NOT);
}

/* --- marks -------------------------------------------------------------------------------- */

static struct ept_state mark(struct ept_state s, unsigned int on)
{
	s.tracked = on;
	return s;
}

/* 0: the slot is as it shall be, or holds nothing that could be written; -EAGAIN: look again. */
static int mark_slot(struct ept_cpu *me, struct ept_slot *s, bool on, struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	struct ept_state is = entry_decode(fmt, s->entry, s->level);

	switch (is.kind) {
	case EPT_PRESENT:
		return slot_change(me, s, mark, on, g) ? 0 : -EAGAIN;
	case EPT_ABSENT:
		return slot_swap(s, on ? s->entry | ENTRY_TRACKED : s->entry & ~ENTRY_TRACKED)
			       ? 0
			       : -EAGAIN;
	case EPT_FILLING:
		cpu_relax();
		return -EAGAIN;
	case EPT_FROZEN:
		return -EBUSY;
	default:
		return 0;
	}
}

/* Marks [*next, end) for as long as the budget lasts; what is present is split first, if asked. */
static int mark_some(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget, bool on,
		     struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	unsigned int spent = 0;

	if (*next >= end)
		return 0;
	if (!gfn_range_ok(me->ept, *next, end - *next))
		return -EINVAL;
	while (*next < end && spent < budget) {
		struct ept_slot s = slot_find(me->ept, *next, PG_LEVEL_4K);
		int err;

		if (on && s.level > PG_LEVEL_4K &&
		    entry_kind(fmt, s.entry, s.level) == EPT_PRESENT) {
			err = ept_split(me, *next, (enum pg_level)(s.level - 1), EPT_WHY_DIRTY, g);
			spent += fmt_entries(fmt);
			err = err ? err : -EAGAIN;
		} else {
			err = mark_slot(me, &s, on, g);
			spent++;
		}
		if (!err)
			*next = fmt_base(fmt, *next, s.level) + fmt_frames(fmt, s.level);
		else if (err != -EAGAIN)
			return err;
	}
	*next = MIN(*next, end);
	return 0;
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

/* Clears the dirty bit of a leaf under tracking, if all of it is reported. False: it is clean.
 * Without the table's lock: see "who may change a slot". */
static bool clean(const struct ept *ept, struct ept_slot *s, bool whole)
{
	for (;;) {
		struct ept_state is = entry_decode(ept->fmt, s->entry, s->level);

		if (is.kind != EPT_PRESENT || !is.tracked || !is.dirty)
			return is.kind == EPT_ABSENT && is.tracked && is.zero;
		if (!whole)
			return true;
		is.dirty = false;
		if (slot_swap(s, leaf_encode(ept, is)))
			return true;
	}
}

uint64_t ept_track_collect(struct ept_cpu *me, gfn_t gfn, uint64_t frames, uint64_t *bitmap,
			   struct ept_gather *g)
{
	struct ept_iter it = ept_iter(me->ept, gfn, frames, PG_LEVEL_4K);
	gfn_t end = gfn + frames;
	uint64_t n = 0;

	if (!gfn_range_ok(me->ept, gfn, frames))
		return 0;
	while (ept_iter_next(&it)) {
		gfn_t from = MAX(it.gfn, gfn), to = MIN(it.gfn + ept_iter_frames(&it), end);

		if (clean(me->ept, &it.slot, to - from == ept_iter_frames(&it)))
			n += report(bitmap, from - gfn, to - gfn);
	}
	if (n)
		g->owed = true;
	return n;
}
