/* SPDX-License-Identifier: MIT */
/* A second address space with the same memory. See ept/range.h. */
#include "ept/ops/each.h"
#include "ept/ops/map.h"
#include "ept/path/split.h"
#include "ept/range.h"
#include "ept/tree/limits.h"

struct cloning {
	struct change change;
	struct ept_cpu *clone;
	enum ept_share share;
};

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

/* One entry, into a slot of the clone that is as large. It becomes smaller where the clone has a
 * table from before. */
static int clone_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
		      struct ept_gather *g)
{
	const struct cloning *to = (const struct cloning *)c;
	struct ept_state is = entry_decode(me->ept->fmt, s->entry, s->level);
	int err;

	if (is.kind == EPT_FROZEN)
		return EPT_BUSY;
	if (is.kind == EPT_FILLING) {
		cpu_relax();
		return EPT_LOOK_AGAIN;
	}
	if (to->share == EPT_SHARED && is.cow)
		return EPT_FOREIGN;
	if (!perms_ok(to->clone->ept, is.perms))
		return EPT_INVALID;
	if (to->share == EPT_PRIVATE && is.kind == EPT_PRESENT) {
		if (!slot_change(me, s, shared_out, 0, g))
			return EPT_LOOK_AGAIN;
		is = entry_decode(me->ept->fmt, s->entry, s->level);
	}
	is = copy_of(to->clone->ept, is, to->share);
	err = slot_place(to->clone, gfn, s->level, entry_encode(me->ept->fmt, &is));
	if (err == EPT_SMALLER) {
		err = split_anything(me, gfn, level_below(s->level), EPT_WHY_ASKED, g);
		return err ? err : EPT_LOOK_AGAIN;
	}
	if (!err)
		ept_stat_add(&to->clone->stats.cloned, 1);
	return err;
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
	const struct cloning c = {
		.change = { .why = EPT_WHY_ASKED, .slot = clone_slot },
		.clone = clone,
		.share = share,
	};
	int err;

	if (clone->ept->fmt != me->ept->fmt || clone->ept == me->ept ||
	    clone->ept->leaf_max < me->ept->leaf_max || !gfn_range_ok(me->ept, gfn, frames))
		return EPT_INVALID;
	if (anything_mapped(clone->ept, gfn, frames))
		return EPT_HERE;
	err = change_each(me, gfn, frames, &c.change, g);
	if (err)
		forget_copy(clone, gfn, frames);
	return err;
}
