/* SPDX-License-Identifier: MIT */
/* Giving up contents. See ept/range.h. */
#include "ept/ops/each.h"
#include "ept/range.h"

static uint64_t discarded(const struct ept *ept, struct ept_state was)
{
	was.kind = EPT_ABSENT;
	was.requested = false;
	was.zero = true;
	return entry_encode(ept->fmt, &was);
}

static int discard_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
			struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	struct ept_state is = entry_decode(ept->fmt, s->entry, s->level);
	int64_t frames;
	bool done;

	(void)gfn;
	(void)c;
	switch (is.kind) {
	case EPT_PRESENT:
		done = slot_hide(me, s, discarded, g);
		break;
	case EPT_ABSENT:
		done = slot_swap(s, discarded(ept, is));
		table_dirtied(s->table);
		break;
	case EPT_POISON:
		return 0;
	case EPT_FROZEN:
		return EPT_BUSY;
	default:
		cpu_relax();
		return EPT_LOOK_AGAIN;
	}
	if (!done)
		return EPT_LOOK_AGAIN;
	frames = (int64_t)fmt_frames(ept->fmt, s->level);
	ept_stat_add(&me->stats.discarded, frames);
	if (is.kind == EPT_ABSENT && !is.zero)
		ept_stat_add(&me->stats.given_up, frames);
	return 0;
}

int ept_discard(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g)
{
	const struct change c = { .why = EPT_WHY_ASKED, .slot = discard_slot };

	return change_each(me, gfn, frames, &c, g);
}
