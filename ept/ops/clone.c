/* SPDX-License-Identifier: MIT */
/* A second address space with the same memory. See ept/range.h. */
#include "ept/ops/map.h"
#include "ept/path/split.h"
#include "ept/range.h"
#include "ept/tree/limits.h"

static struct ept_state shared_out(struct ept_state s, unsigned int arg)
{
	(void)arg;
	s.cow = true;
	return s;
}

/* What the clone gets of an entry. */
static struct ept_state copy_of(const struct ept *clone, struct ept_state s, enum ept_share share)
{
	s.tracked = false;
	s.requested = false;
	s.accessed = false;
	s.dirty = false;
	/* What has not arrived has its frame in the original, however it is shared. */
	s.cow = share == EPT_PRIVATE || s.kind == EPT_ABSENT;
	s.withheld = s.kind == EPT_PRESENT ? withheld_of(clone, &s) : 0;
	return s;
}

/* Puts the copy into a slot of the clone that is as large. */
static int put_copy(struct ept_cpu *clone, gfn_t gfn, const struct ept_state *s)
{
	struct ept_slot place;
	int err;

	do {
		err = slot_make(clone, gfn, s->level, &place);
		if (err)
			return err;
	} while (!slot_put(clone, &place, entry_encode(clone->ept->fmt, s)));
	ept_stat_add(&clone->stats.cloned, 1);
	return 0;
}

/* One entry that is no table. 0; EPT_LOOK_AGAIN: look again. */
static int clone_slot(struct ept_cpu *me, struct ept_cpu *clone, struct ept_slot *s, gfn_t gfn,
		      enum ept_share share, struct ept_gather *g)
{
	struct ept_state is = entry_decode(me->ept->fmt, s->entry, s->level);

	switch (is.kind) {
	case EPT_NONE:
		return 0;
	case EPT_FROZEN:
		return EPT_BUSY;
	case EPT_FILLING:
		cpu_relax();
		return EPT_LOOK_AGAIN;
	default:
		break;
	}
	if (share == EPT_SHARED && is.cow)
		return EPT_FOREIGN;
	if (!perms_ok(clone->ept, is.perms))
		return EPT_INVALID;
	if (share == EPT_PRIVATE && is.kind == EPT_PRESENT) {
		if (!slot_change(me, s, shared_out, 0, g))
			return EPT_LOOK_AGAIN;
		is = entry_decode(me->ept->fmt, s->entry, s->level);
	}
	is = copy_of(clone->ept, is, share);
	return put_copy(clone, gfn, &is);
}

static void forget_copy(struct ept_cpu *clone, gfn_t gfn, uint64_t frames)
{
	struct ept_gather g;

	ept_gather_init(&g, clone);
	/* Nothing of it is larger than the range, filled or frozen. */
	if (ept_unmap(clone, gfn, frames, &g) == 0)
		ept_sync(&g);
}

int ept_clone(struct ept_cpu *me, struct ept_cpu *clone, gfn_t gfn, uint64_t frames,
	      enum ept_share share, struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	gfn_t at = gfn, end = gfn + frames;
	int err = 0;

	if (clone->ept->fmt != fmt || clone->ept == me->ept ||
	    clone->ept->leaf_max < me->ept->leaf_max || !gfn_range_ok(me->ept, gfn, frames))
		return EPT_INVALID;
	if (anything_mapped(clone->ept, gfn, frames))
		return EPT_HERE;
	while (!err && at < end) {
		struct ept_slot s = slot_find(me->ept, at, PG_LEVEL_4K);
		gfn_t from = fmt_base(fmt, at, s.level), to = from + fmt_frames(fmt, s.level);

		/* What reaches across an edge, or where the clone has a table from before. */
		err = s.entry && (from < gfn || to > end)
			      ? EPT_SMALLER
			      : clone_slot(me, clone, &s, from, share, g);
		if (err == EPT_SMALLER) {
			err = split_anything(me, at, (enum pg_level)(s.level - 1), EPT_WHY_ASKED,
					     g);
			continue;
		}
		if (!err)
			at = to;
		else if (err == EPT_LOOK_AGAIN)
			err = 0;
	}
	if (err)
		forget_copy(clone, gfn, frames);
	return err;
}
