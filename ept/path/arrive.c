/* SPDX-License-Identifier: MIT */
/*
 * The path of an arriving page: request, fill, publish. No lock, and no line is written that all
 * CPUs share: only the slot, and its table's counter.
 */
#include "ept/path/split.h"
#include "ept/tree/limits.h"

/* What is there is not an absent entry of the wanted level. 0: now it may be, look again. */
static int not_absent(struct ept_cpu *me, gfn_t gfn, struct ept_slot s)
{
	switch (entry_kind(me->ept->fmt, s.entry, s.level)) {
	case EPT_ABSENT:
		return split_absent(me, &s, gfn, EPT_WHY_ARRIVAL);
	case EPT_PRESENT:
		return EPT_HERE;
	case EPT_FILLING:
		return EPT_BUSY;
	case EPT_TABLE:
		return EPT_SMALLER;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_NONE:
		return EPT_UNMAPPED;
	default: /* frozen: its owner needs us to stand outside */
		return EPT_BUSY;
	}
}

/* Absent, and its frame is its own to fill. */
static inline bool is_absent(const struct ept_walk *w, uint64_t e)
{
	return (e & w->absent_mask) == (uint64_t)EPT_ABSENT << ENTRY_KIND_SHIFT;
}

/* The same, and not tracked: the leaf is what its rights say. */
static inline bool is_plain(const struct ept_walk *w, uint64_t e)
{
	return (e & w->plain_mask) == (uint64_t)EPT_ABSENT << ENTRY_KIND_SHIFT;
}

/* The absent entry of this level; larger ones are split. 0: *s is that slot, as it was found.
 * `special`: ENTRY_ZERO, ENTRY_COW: such entries will do, too. */
static int find_absent(struct ept_cpu *me, gfn_t gfn, enum pg_level level, uint64_t special,
		       struct ept_slot *s)
{
	for (;;) {
		int err;

		*s = slot_find(me->ept, gfn, level);
		if (entry_kind(me->ept->fmt, s->entry, s->level) == EPT_ABSENT) {
			if (s->entry & ENTRY_ZERO & ~special)
				return EPT_DISCARDED;
			if (s->entry & ENTRY_COW & ~special)
				return EPT_FOREIGN;
			if (s->level == level)
				return 0;
		}
		err = not_absent(me, gfn, *s);
		if (err)
			return err;
	}
}

static inline _Atomic uint64_t *walk_slot(const struct ept_walk *w, uint64_t index, uint64_t table)
{
	return (_Atomic uint64_t *)(table + w->virt_offset) + index;
}

/* One level down. False: there is no table. Acquire: pairs with the release that linked it. */
static inline bool walk_down(const struct ept_walk *w, uint64_t index, uint64_t *table)
{
	uint64_t e = atomic_load_explicit(walk_slot(w, index, *table), memory_order_acquire);

	*table = e & w->addr;
	return (e & w->table_mask) == w->table_bits;
}

/* slot_find() of a 4 KiB page, in tables as both makers have them: four levels of 512 entries. The
 * compiler knows that here, which takes a third off the walk. False: look for it by slot_find(). */
static inline bool page_slot(const struct ept *ept, gfn_t gfn, struct ept_slot *s)
{
	const struct ept_walk *w = &ept->walk;
	uint64_t table = ept->root.v;

	if (gfn >= w->usual || !walk_down(w, gfn >> 27, &table) ||
	    !walk_down(w, gfn >> 18 & 511, &table) || !walk_down(w, gfn >> 9 & 511, &table))
		return false;
	s->at = walk_slot(w, gfn & 511, table);
	s->entry = atomic_load_explicit(s->at, memory_order_acquire);
	s->table = table_meta(ept, hpa(table));
	s->level = PG_LEVEL_4K;
	return true;
}

int ept_request_piece(struct ept_cpu *me, gfn_t gfn, enum pg_level level)
{
	struct ept_slot s;

	if (!gfn_range_ok(me->ept, gfn, 1))
		return EPT_UNMAPPED;
	do {
		int err = find_absent(me, gfn, level, ENTRY_COW, &s);

		while (err == EPT_SMALLER)
			err = find_absent(me, gfn, --level, ENTRY_COW, &s);
		if (err)
			return err;
		if (s.entry & ENTRY_REQUESTED)
			return EPT_ASKED;
	} while (!slot_swap(&s, s.entry | ENTRY_REQUESTED));
	ept_stat_add(&me->stats.requests, 1);
	return 0;
}

/* As slot_swap(), by value: what is found instead does not matter, so it stays in registers. */
static inline bool try_swap(struct ept_slot s, uint64_t entry)
{
	return atomic_compare_exchange_strong_explicit(s.at, &s.entry, entry, memory_order_acq_rel,
						       memory_order_relaxed);
}

static inline bool try_claim(struct ept_slot s, gfn_t gfn, struct ept_claim *claim)
{
	uint64_t filling = entry_with_kind(s.entry, EPT_FILLING);

	if (!try_swap(s, filling))
		return false;
	*claim = (struct ept_claim){
		.slot = s.at,
		.entry = filling,
		.table = s.table,
		.gfn = gfn,
		.level = s.level,
		.frame = hpa(entry_hidden_frame(filling)),
	};
	return true;
}

/* find_absent(), which counts who comes too late. */
static int find_to_fill(struct ept_cpu *me, gfn_t gfn, enum pg_level level, uint64_t special,
			struct ept_slot *s)
{
	int err = find_absent(me, gfn, level, special, s);

	if (err == EPT_HERE || err == EPT_BUSY)
		ept_stat_add(&me->stats.duplicates, 1);
	return err;
}

/* Somebody was faster, or there is something to split, or something special. */
static int fill_slowly(struct ept_cpu *me, gfn_t gfn, enum pg_level level, uint64_t special,
		       struct ept_claim *claim)
{
	struct ept_slot s;

	do {
		int err = find_to_fill(me, gfn, level, special, &s);

		if (err)
			return err;
	} while (!try_claim(s, gfn, claim));
	return 0;
}

static inline int fill_refused(const struct ept *ept, gfn_t gfn, enum pg_level level)
{
	if (!(ept->walk.leaf_levels >> level & 1) || gfn & ept->walk.inside[level])
		return EPT_INVALID;
	/* Aligned, so if it begins in the address space it ends there. */
	return gfn >= ept->walk.space ? EPT_UNMAPPED : 0;
}

int ept_fill(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_claim *claim)
{
	const struct ept *ept = me->ept;
	int err = fill_refused(ept, gfn, level);
	struct ept_slot s = { .level = PG_LEVEL_4K };

	if (err)
		return err;
	if (level == PG_LEVEL_4K && page_slot(ept, gfn, &s) && is_absent(&ept->walk, s.entry) &&
	    try_claim(s, gfn, claim))
		return 0;
	return fill_slowly(me, gfn, level, 0, claim);
}

int ept_fill_zero(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_claim *claim)
{
	int err = fill_refused(me->ept, gfn, level);

	return err ? err : fill_slowly(me, gfn, level, ENTRY_ZERO, claim);
}

int ept_fill_into(struct ept_cpu *me, gfn_t gfn, hpa_t frame, struct ept_claim *claim)
{
	int err = fill_refused(me->ept, gfn, PG_LEVEL_4K);

	if (!err && !backing_ok(me->ept, frame, 1))
		err = EPT_INVALID;
	if (!err)
		err = fill_slowly(me, gfn, PG_LEVEL_4K, ENTRY_ZERO | ENTRY_COW, claim);
	if (err)
		return err;
	if (!(claim->entry & ENTRY_COW)) {
		ept_give_up(me, claim);
		return EPT_OWN;
	}
	claim->frame = frame;
	return 0;
}

/* Counts what has just become present. True: it was the last of its table. */
static inline bool arrived(struct ept_cpu *me, struct ept_table *table, enum pg_level level)
{
	ept_stat_add(&me->stats.arrivals, 1);
	return leaf_completes(me, table, level);
}

static inline bool publish(struct ept_cpu *me, const struct ept_claim *claim, uint64_t leaf)
{
	/* Release: the page's contents come first. The slot is ours alone, so a store will do. */
	atomic_store_explicit(claim->slot, leaf, memory_order_release);
	return arrived(me, claim->table, claim->level);
}

/* Not just what its rights say: tracked, or in a frame that was brought. What was discarded has
 * changed since it was last looked at. */
static bool publish_special(struct ept_cpu *me, const struct ept_claim *claim)
{
	struct ept_state s = entry_decode(me->ept->fmt, claim->entry, claim->level);

	s.frame = claim->frame;
	s.cow = false;
	s.dirty = s.tracked && s.zero;
	return publish(me, claim, leaf_encode(me->ept, s));
}

/* As leaf_encode() would. */
static inline uint64_t plain_leaf(const struct ept *ept, uint64_t hidden, enum pg_level level)
{
	return ept->leaf[level][entry_rights(hidden)] | entry_hidden_frame(hidden);
}

bool ept_publish(struct ept_cpu *me, const struct ept_claim *claim)
{
	if (claim->entry & (ENTRY_TRACKED | ENTRY_COW))
		return publish_special(me, claim);
	return publish(me, claim, plain_leaf(me->ept, claim->entry, claim->level));
}

/* There is something to split, or something special. */
static __attribute__((noinline)) int arrive_slowly(struct ept_cpu *me, gfn_t gfn)
{
	struct ept_claim claim;
	struct ept_slot s;

	if (gfn >= me->ept->walk.space)
		return EPT_UNMAPPED;
	for (;;) {
		int err = find_to_fill(me, gfn, PG_LEVEL_4K, 0, &s);

		if (err)
			return err;
		if (is_plain(&me->ept->walk, s.entry)) {
			if (try_swap(s, plain_leaf(me->ept, s.entry, PG_LEVEL_4K)))
				return arrived(me, s.table, PG_LEVEL_4K);
		} else if (try_claim(s, gfn, &claim)) {
			return ept_publish(me, &claim);
		}
	}
}

int ept_arrive_in_place(struct ept_cpu *me, gfn_t gfn)
{
	const struct ept *ept = me->ept;
	struct ept_slot s;

	if (page_slot(ept, gfn, &s) && is_plain(&ept->walk, s.entry) &&
	    try_swap(s, plain_leaf(ept, s.entry, PG_LEVEL_4K)))
		return arrived(me, s.table, PG_LEVEL_4K);
	return arrive_slowly(me, gfn);
}

void ept_give_up(struct ept_cpu *me, const struct ept_claim *claim)
{
	(void)me;
	atomic_store_explicit(claim->slot, entry_with_kind(claim->entry, EPT_ABSENT),
			      memory_order_release);
}
