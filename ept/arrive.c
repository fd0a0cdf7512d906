/* SPDX-License-Identifier: MIT */
/*
 * The path of an arriving page: request, fill, publish. No lock, and no line is written that all
 * CPUs share: only the slot, and its table's counter.
 */
#include "ept/slot.h"

/* Absent at the wanted level already, or made so. 0: *s is that slot, as it was found. */
static int find_absent(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_slot *s)
{
	const struct ept_format *fmt = me->ept->fmt;

	for (;;) {
		*s = slot_find(me->ept, gfn, level);
		switch (entry_kind(fmt, s->entry, s->level)) {
		case EPT_ABSENT: {
			int err;

			if (s->level == level)
				return 0;
			err = split_absent(me, s, gfn, EPT_WHY_ARRIVAL);
			if (err)
				return err;
			break;
		}
		case EPT_PRESENT:
			return -EEXIST;
		case EPT_FILLING:
			return -EBUSY;
		case EPT_TABLE:
			return -E2BIG;
		case EPT_POISON:
			return -EHWPOISON;
		case EPT_NONE:
			return -ENOENT;
		default:
			cpu_relax();
		}
	}
}

int ept_request(struct ept_cpu *me, gfn_t gfn)
{
	struct ept_slot s;

	if (!gfn_range_ok(me->ept, gfn, 1))
		return -ENOENT;
	do {
		int err = find_absent(me, gfn, PG_LEVEL_4K, &s);

		if (err)
			return err;
		if (s.entry & ENTRY_REQUESTED)
			return -EALREADY;
	} while (!slot_swap(&s, s.entry | ENTRY_REQUESTED));
	ept_stat_add(&me->stats.requests, 1);
	return 0;
}

int ept_fill(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_claim *claim)
{
	const struct ept_format *fmt = me->ept->fmt;
	struct ept_slot s;
	uint64_t filling;

	if (!fmt_may_be_leaf(fmt, level) || !IS_ALIGNED(gfn, fmt_frames(fmt, level)))
		return -EINVAL;
	if (!gfn_range_ok(me->ept, gfn, fmt_frames(fmt, level)))
		return -ENOENT;
	do {
		int err = find_absent(me, gfn, level, &s);

		if (err) {
			if (err == -EEXIST || err == -EBUSY)
				ept_stat_add(&me->stats.duplicates, 1);
			return err;
		}
		filling = entry_with_kind(s.entry, EPT_FILLING);
	} while (!slot_swap(&s, filling));
	*claim = (struct ept_claim){
		.slot = s.at,
		.entry = filling,
		.table = s.table,
		.gfn = gfn,
		.level = level,
		.frame = hpa(entry_hidden_frame(filling)),
	};
	return 0;
}

bool ept_publish(struct ept_cpu *me, const struct ept_claim *claim)
{
	const struct ept *ept = me->ept;
	const struct ept_format *fmt = ept->fmt;
	struct ept_state s = entry_decode(fmt, claim->entry, claim->level);
	unsigned int present;

	s.kind = EPT_PRESENT;
	/* Release: the page's contents come first. The slot is ours alone, so a store will do. */
	atomic_store_explicit(claim->slot, entry_encode(fmt, &s), memory_order_release);
	ept_stat_add(ept_stat_pages(&me->stats, claim->level), 1);
	ept_stat_add(&me->stats.arrivals, 1);
	present = table_count(claim->table, 1);
	return present == fmt_entries(fmt) && claim->level < ept->leaf_max;
}

void ept_give_up(struct ept_cpu *me, const struct ept_claim *claim)
{
	(void)me;
	atomic_store_explicit(claim->slot, entry_with_kind(claim->entry, EPT_ABSENT),
			      memory_order_release);
}
