/* SPDX-License-Identifier: MIT */
/* Poison: memory that is lost. Its neighbours stay usable. */
#include "ept/ops/each.h"
#include "ept/range.h"

static uint64_t poisoned(const struct ept *ept, struct ept_state was)
{
	was.kind = EPT_POISON;
	was.requested = false;
	was.zero = false;
	was.tracked = false; /* nobody writes to it any more, and nobody takes the mark away */
	return entry_encode(ept->fmt, &was);
}

/* Nobody will send it any more. What was discarded counts as given up already. */
static void count_early(struct ept_cpu *me, enum pg_level level)
{
	ept_stat_add(&me->stats.lost_early, (int64_t)fmt_frames(me->ept->fmt, level));
}

/* 0, EPT_LOOK_AGAIN, EPT_LOST, or EPT_BUSY: it is frozen. */
static int poison_slot(struct ept_cpu *me, struct ept_slot *s, struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	struct ept_state is = entry_decode(ept->fmt, s->entry, s->level);
	bool done;

	switch (is.kind) {
	case EPT_PRESENT:
		done = slot_hide(me, s, poisoned, g);
		break;
	case EPT_ABSENT:
		done = slot_swap(s, poisoned(ept, is));
		if (done && !is.zero)
			count_early(me, s->level);
		break;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_FROZEN:
		return EPT_BUSY;
	default:
		cpu_relax(); /* being filled: its owner is not long about it */
		return EPT_LOOK_AGAIN;
	}
	if (!done)
		return EPT_LOOK_AGAIN;
	ept_stat_add(&me->stats.poisoned, (int64_t)fmt_frames(ept->fmt, s->level));
	return 0;
}

int ept_poison(struct ept_cpu *me, gfn_t gfn, struct ept_gather *g)
{
	for (;;) {
		int err = ept_split(me, gfn, PG_LEVEL_4K, EPT_WHY_POISON, g);
		struct ept_slot s;

		if (err)
			return err;
		s = slot_find(me->ept, gfn, PG_LEVEL_4K);
		if (s.level != PG_LEVEL_4K)
			continue; /* it collapsed again meanwhile */
		err = poison_slot(me, &s, g);
		if (err != EPT_LOOK_AGAIN)
			return err;
	}
}

static int poison_each(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
		       struct ept_gather *g)
{
	int err = poison_slot(me, s, g);

	(void)gfn;
	(void)c;
	return err == EPT_LOST ? 0 : err;
}

int ept_poison_range(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g)
{
	const struct change c = { .why = EPT_WHY_POISON, .slot = poison_each };

	return change_each(me, gfn, frames, &c, g);
}

void ept_lose(struct ept_cpu *me, const struct ept_claim *claim)
{
	struct ept_state s = entry_decode(me->ept->fmt, claim->entry, claim->level);

	/* Release: as ept_publish(). The slot is ours alone, so a store will do. */
	atomic_store_explicit(claim->slot, poisoned(me->ept, s), memory_order_release);
	ept_stat_add(&me->stats.poisoned, (int64_t)fmt_frames(me->ept->fmt, claim->level));
	count_early(me, claim->level);
}
