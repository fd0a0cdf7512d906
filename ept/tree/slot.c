/* SPDX-License-Identifier: MIT */
/* Changing a slot under its table's lock, and making one. See ept/tree/slot.h. */
#include "ept/tree/slot.h"

bool slot_hide(struct ept_cpu *me, struct ept_slot *s,
	       uint64_t (*hide)(const struct ept *ept, struct ept_state was), struct ept_gather *g)
{
	const struct ept *ept = me->ept;

	if (!slot_lock(ept, s, EPT_PRESENT))
		return false;
	while (!slot_swap(s, hide(ept, entry_decode(ept->fmt, s->entry, s->level))))
		cpu_relax();
	(void)leaf_counted(me, s->table, s->level, -1);
	slot_unlock(s);
	g->owed = true;
	return true;
}

bool slot_change(struct ept_cpu *me, struct ept_slot *s,
		 struct ept_state (*change)(struct ept_state was, unsigned int arg),
		 unsigned int arg, struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	struct ept_state was, is;
	uint64_t leaf;

	if (!slot_lock(ept, s, EPT_PRESENT))
		return false;
	do {
		was = entry_decode(ept->fmt, s->entry, s->level);
		leaf = leaf_encode(ept, change(was, arg));
	} while (leaf != s->entry && !slot_swap(s, leaf));
	slot_unlock(s);
	is = entry_decode(ept->fmt, leaf, s->level);
	if (was.perms & ~was.withheld & ~(is.perms & ~is.withheld))
		g->owed = true;
	return true;
}

int slot_take(struct ept_cpu *me, struct ept_slot *s,
	      uint64_t (*left)(const struct ept *ept, struct ept_state was), uint64_t *was,
	      struct ept_gather *g)
{
	struct ept_state is = entry_decode(me->ept->fmt, s->entry, s->level);

	switch (is.kind) {
	case EPT_PRESENT:
		if (!slot_hide(me, s, left, g))
			return EPT_LOOK_AGAIN;
		*was = s->entry;
		return 0;
	case EPT_ABSENT:
	case EPT_POISON:
		*was = s->entry & ~ENTRY_REQUESTED;
		if (!slot_swap(s, left(me->ept, is)))
			return EPT_LOOK_AGAIN;
		table_dirtied(s->table);
		return 0;
	case EPT_FROZEN:
		return EPT_BUSY;
	default:
		cpu_relax();
		return EPT_LOOK_AGAIN;
	}
}

bool slot_put(struct ept_cpu *me, struct ept_slot *s, uint64_t entry)
{
	if (!slot_lock(me->ept, s, EPT_NONE))
		return false;
	atomic_store_explicit(s->at, entry, memory_order_release);
	if (entry_kind(me->ept->fmt, entry, s->level) == EPT_PRESENT)
		(void)leaf_counted(me, s->table, s->level, 1);
	slot_unlock(s);
	return true;
}

/* Links an empty table into a slot that maps nothing. 0: look again. */
static int link_empty(struct ept_cpu *me, struct ept_slot *s)
{
	hpa_t table;
	int err = table_make_empty(me, level_below(s->level), EPT_WHY_MAP, &table);

	if (err)
		return err;
	if (!slot_put(me, s, entry_table(me->ept->fmt, table)))
		table_discard(me, table);
	return 0;
}

int slot_make(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_slot *s)
{
	for (;;) {
		enum ept_kind kind;
		int err;

		*s = slot_find(me->ept, gfn, level);
		kind = entry_kind(me->ept->fmt, s->entry, s->level);
		if (kind == EPT_TABLE)
			return EPT_SMALLER;
		if (kind != EPT_NONE)
			return EPT_HERE;
		if (s->level == level)
			return 0;
		err = link_empty(me, s);
		if (err)
			return err;
	}
}

int slot_place(struct ept_cpu *me, gfn_t gfn, enum pg_level level, uint64_t entry)
{
	struct ept_slot s;
	int err;

	do {
		err = slot_make(me, gfn, level, &s);
	} while (!err && !slot_put(me, &s, entry));
	return err;
}
