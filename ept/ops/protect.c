/* SPDX-License-Identifier: MIT */
/* Rights of a range. See ept/range.h. */
#include "ept/ops/each.h"
#include "ept/range.h"
#include "ept/tree/limits.h"

static struct ept_state with_perms(struct ept_state s, unsigned int perms)
{
	s.perms = perms;
	return s;
}

static int protect_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
			struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	struct ept_state is = entry_decode(fmt, s->entry, s->level);

	(void)gfn;
	switch (is.kind) {
	case EPT_PRESENT:
		return slot_change(me, s, with_perms, c->perms, g) ? 0 : EPT_LOOK_AGAIN;
	case EPT_ABSENT:
	case EPT_POISON:
		is.perms = c->perms;
		return slot_swap(s, entry_encode(fmt, &is)) ? 0 : EPT_LOOK_AGAIN;
	case EPT_FROZEN:
		return EPT_BUSY;
	default:
		cpu_relax();
		return EPT_LOOK_AGAIN;
	}
}

int ept_protect(struct ept_cpu *me, gfn_t gfn, uint64_t frames, unsigned int perms,
		struct ept_gather *g)
{
	const struct change c = { .why = EPT_WHY_ASKED, .slot = protect_slot, .perms = perms };

	return perms_ok(me->ept, perms) ? change_each(me, gfn, frames, &c, g) : EPT_INVALID;
}
