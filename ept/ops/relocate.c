/* SPDX-License-Identifier: MIT */
/* Another frame for what is present. See ept/relocate.h. */
#include "ept/relocate.h"

#include "ept/tree/limits.h"
#include "ept/tree/slot.h"

static uint64_t frozen(const struct ept *ept, struct ept_state was)
{
	was.kind = EPT_FROZEN;
	return entry_encode(ept->fmt, &was);
}

/* What is there is no leaf of the wanted level. */
static int relocate_refusal(const struct ept *ept, const struct ept_slot *s)
{
	switch (entry_kind(ept->fmt, s->entry, s->level)) {
	case EPT_NONE:
		return EPT_UNMAPPED;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_FROZEN:
		return EPT_BUSY;
	case EPT_TABLE:
		return EPT_SMALLER;
	default:
		return EPT_NOT_HERE;
	}
}

struct freezing {
	enum pg_level level;
	enum ept_why why;
	struct ept_frozen *f;
	struct ept_gather *g;
};

static int freeze_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, void *arg)
{
	const struct freezing *how = arg;

	if (entry_kind(me->ept->fmt, s->entry, s->level) != EPT_PRESENT)
		return relocate_refusal(me->ept, s);
	if (s->level > how->level) {
		int err = ept_split(me, gfn, how->level, how->why, how->g);

		return err ? err : EPT_LOOK_AGAIN;
	}
	if (!slot_hide(me, s, frozen, how->g))
		return EPT_LOOK_AGAIN;
	*how->f = (struct ept_frozen){
		.slot = s->at,
		.table = s->table,
		.was = entry_decode(me->ept->fmt, s->entry, s->level),
		.gfn = gfn,
	};
	return 0;
}

int ept_freeze(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
	       struct ept_frozen *f, struct ept_gather *g)
{
	struct freezing how = { .level = level, .why = why, .f = f, .g = g };

	if (!gfn_range_ok(me->ept, gfn, 1) || !fmt_may_be_leaf(me->ept->fmt, level) ||
	    gfn & me->ept->walk.inside[level])
		return EPT_INVALID;
	return slot_settle(me, gfn, level, freeze_slot, &how);
}

/* The slot is ours, but for accessed and dirty bits that came late. Release, in the swap: the
 * contents come first. */
static bool relocate_thaw(struct ept_cpu *me, const struct ept_frozen *f, struct ept_state is)
{
	const struct ept *ept = me->ept;
	enum pg_level level = f->was.level;
	struct ept_slot s = { .at = f->slot, .table = f->table, .level = level };

	s.entry = atomic_load_explicit(s.at, memory_order_relaxed);
	do {
		is.accessed = s.entry & ENTRY_ACCESSED;
		is.dirty = s.entry & ENTRY_DIRTY;
	} while (!slot_swap(&s, leaf_encode(ept, is)));
	return leaf_completes(me, f->table, level);
}

bool ept_thaw(struct ept_cpu *me, const struct ept_frozen *f, hpa_t frame)
{
	struct ept_state is = f->was;

	if (is.frame.v != frame.v) {
		is.frame = frame;
		is.cow = false;
		ept_stat_add(&me->stats.relocated, 1);
	}
	return relocate_thaw(me, f, is);
}

bool ept_thaw_owned(struct ept_cpu *me, const struct ept_frozen *f)
{
	struct ept_state is = f->was;

	is.cow = false;
	return relocate_thaw(me, f, is);
}
