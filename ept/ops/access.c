/* SPDX-License-Identifier: MIT */
/* Accesses that need more than an entry gives. See ept/access.h. */
#include "ept/access.h"

#include "ept/tree/limits.h"
#include "ept/tree/slot.h"

/* Why what is not present cannot be accessed. */
static int access_refusal(enum ept_kind kind)
{
	switch (kind) {
	case EPT_NONE:
		return EPT_UNMAPPED;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_FROZEN:
		return EPT_BUSY;
	default:
		return EPT_NOT_HERE;
	}
}

/* The write is noted, and may be made. */
static struct ept_state written(struct ept_state s, unsigned int arg)
{
	(void)arg;
	s.accessed = true;
	s.dirty = true;
	return s;
}

/* A write under tracking: only of this page, where it can be told apart. */
static int note_write(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, struct ept_gather *g)
{
	if (s->level > PG_LEVEL_4K &&
	    ept_split(me, gfn, PG_LEVEL_4K, EPT_WHY_DIRTY, g) != EPT_NO_TABLE)
		return EPT_LOOK_AGAIN;
	if (!slot_change(me, s, written, 0, g))
		return EPT_LOOK_AGAIN;
	ept_stat_add(&me->stats.write_faults, 1);
	return 0;
}

static int split_executed(struct ept_cpu *me, gfn_t gfn, struct ept_gather *g)
{
	int err = ept_split(me, gfn, PG_LEVEL_4K, EPT_WHY_NX, g);

	if (err)
		return err;
	ept_stat_add(&me->stats.nx_splits, 1);
	return EPT_LOOK_AGAIN;
}

/* 0: nothing is withheld of the access. */
static int grant(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, unsigned int access,
		 struct ept_gather *g)
{
	struct ept_state is = entry_decode(me->ept->fmt, s->entry, s->level);

	if (access & ~is.perms)
		return EPT_FORBIDDEN;
	if (access & is.withheld & EPT_X)
		return split_executed(me, gfn, g);
	if (access & is.withheld & EPT_W)
		return is.cow ? EPT_FOREIGN : note_write(me, s, gfn, g);
	return 0;
}

struct accessing {
	unsigned int access;
	struct ept_gather *g;
	hpa_t *at; /* of a reach */
};

static int resolve_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, void *arg)
{
	const struct accessing *a = arg;
	enum ept_kind kind = entry_kind(me->ept->fmt, s->entry, s->level);

	return kind == EPT_PRESENT ? grant(me, s, gfn, a->access, a->g) : access_refusal(kind);
}

int ept_resolve(struct ept_cpu *me, gfn_t gfn, unsigned int access, struct ept_gather *g)
{
	struct accessing a = { .access = access, .g = g };

	if (!gfn_range_ok(me->ept, gfn, 1))
		return EPT_UNMAPPED;
	return slot_settle(me, gfn, PG_LEVEL_4K, resolve_slot, &a);
}

static int reach_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, void *arg)
{
	const struct ept_format *fmt = me->ept->fmt;
	const struct accessing *a = arg;
	uint64_t bits = fmt->accessed | (a->access & EPT_W ? fmt->dirty : 0);
	struct ept_state is = entry_decode(fmt, s->entry, s->level);
	int err = is.kind == EPT_ABSENT && is.zero ? EPT_DISCARDED : resolve_slot(me, s, gfn, arg);

	if (err)
		return err;
	*s = slot_find(me->ept, gfn, PG_LEVEL_4K); /* a write may be noted in it now */
	is = entry_decode(fmt, s->entry, s->level);
	if (is.kind != EPT_PRESENT || a->access & is.withheld)
		return EPT_LOOK_AGAIN;
	/* As hardware would: by compare-and-swap, in a leaf that is still the same. */
	if ((s->entry & bits) != bits && !slot_swap(s, s->entry | bits))
		return EPT_LOOK_AGAIN;
	table_dirtied(s->table);
	*a->at = hpa(is.frame.v + ((gfn & (fmt_frames(fmt, is.level) - 1)) << PAGE_SHIFT));
	return 0;
}

int ept_reach(struct ept_cpu *me, gfn_t gfn, unsigned int access, hpa_t *at, struct ept_gather *g)
{
	struct accessing a = { .access = access, .g = g, .at = at };

	if (!gfn_range_ok(me->ept, gfn, 1))
		return EPT_UNMAPPED;
	return slot_settle(me, gfn, PG_LEVEL_4K, reach_slot, &a);
}
