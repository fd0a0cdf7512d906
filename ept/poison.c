/* SPDX-License-Identifier: MIT */
/* Poison: a page whose memory is lost. Its neighbours stay usable. */
#include "ept/slot.h"

static uint64_t poisoned(const struct ept_format *fmt, uint64_t entry, enum pg_level level)
{
	struct ept_state s = entry_decode(fmt, entry, level);

	s.kind = EPT_POISON;
	s.requested = false;
	return entry_encode(fmt, &s);
}

/* False: look again. */
static bool poison_present(struct ept_cpu *me, struct ept_slot *s, struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;

	if (!slot_lock(me->ept, s, EPT_PRESENT))
		return false;
	while (!slot_swap(s, poisoned(fmt, s->entry, s->level)))
		cpu_relax();
	table_count(s->table, -1);
	ept_stat_add(ept_stat_pages(&me->stats, s->level), -1);
	slot_unlock(s);
	g->owed = true;
	return true;
}

static bool poison_absent(struct ept_cpu *me, struct ept_slot *s)
{
	return slot_swap(s, poisoned(me->ept->fmt, s->entry, s->level));
}

int ept_poison(struct ept_cpu *me, gfn_t gfn, struct ept_gather *g)
{
	for (;;) {
		int err = ept_split(me, gfn, PG_LEVEL_4K, EPT_WHY_POISON, g);
		struct ept_slot s;
		bool done = false;

		if (err)
			return err == -EHWPOISON ? -EALREADY : err;
		s = slot_find(me->ept, gfn, PG_LEVEL_4K);
		if (s.level != PG_LEVEL_4K)
			continue; /* it collapsed again meanwhile */
		switch (entry_kind(me->ept->fmt, s.entry, s.level)) {
		case EPT_PRESENT:
			done = poison_present(me, &s, g);
			break;
		case EPT_ABSENT:
			done = poison_absent(me, &s);
			break;
		default:
			cpu_relax(); /* being filled: its owner is not long about it */
		}
		if (done) {
			ept_stat_add(&me->stats.poisoned, 1);
			return 0;
		}
	}
}
