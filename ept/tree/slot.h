/* SPDX-License-Identifier: MIT */
/*
 * Slots, for the files of ept/ alone: finding one, changing it under its table's lock, making one.
 * The rules are on top of ept/ept.h.
 */
#ifndef EPT_TREE_SLOT_H
#define EPT_TREE_SLOT_H

#include "ept/tree/table.h"

/* A slot as it was found. `level` is the slot's; `table` is what contains it. */
struct ept_slot {
	_Atomic uint64_t *at;
	uint64_t entry;
	struct ept_table *table;
	enum pg_level level;
};

/* The level whose index begins at bit `shift` of a gfn. */
static inline enum pg_level level_at(const struct ept_walk *w, unsigned int shift)
{
	enum pg_level level = PG_LEVEL_4K;

	for (unsigned int at = 0; at != shift; at += w->index_bits)
		level++;
	return level;
}

/* Walks down to the slot of `target` that covers gfn, or to the first that is not a table. */
static inline struct ept_slot slot_find(const struct ept *ept, gfn_t gfn, enum pg_level target)
{
	const struct ept_walk *w = &ept->walk;
	unsigned int stop = w->index_bits * (target - 1u);
	uint64_t table = ept->root.v;
	struct ept_slot s;

	for (unsigned int shift = w->top_shift;; shift -= w->index_bits) {
		_Atomic uint64_t *entries = (_Atomic uint64_t *)(table + w->virt_offset);

		s.at = &entries[gfn >> shift & w->index_mask];
		/* Acquire: pairs with the release that linked the table below. */
		s.entry = atomic_load_explicit(s.at, memory_order_acquire);
		s.level = target;
		if (shift == stop)
			break;
		if ((s.entry & w->table_mask) != w->table_bits) {
			s.level = level_at(w, shift);
			break;
		}
		table = s.entry & w->addr;
	}
	s.table = table_meta(ept, hpa(table));
	return s;
}

/* Replaces the entry if it is still what was found; otherwise s->entry becomes what is there. */
static inline bool slot_swap(struct ept_slot *s, uint64_t entry)
{
	return atomic_compare_exchange_strong_explicit(s->at, &s->entry, entry,
						       memory_order_acq_rel, memory_order_acquire);
}

/* What the hardware may not let a guest do yet, of what a leaf grants. */
static inline unsigned int withheld_of(const struct ept *ept, const struct ept_state *s)
{
	bool note = s->tracked && !s->dirty &&
		    atomic_load_explicit(&ept->track, memory_order_relaxed) == EPT_TRACK_WRITES;

	return (ept->nx && s->level > PG_LEVEL_4K ? s->perms & EPT_X : 0) |
	       (note || s->cow ? s->perms & EPT_W : 0);
}

/* The leaf for this state, with what has to be withheld. */
static inline uint64_t leaf_encode(const struct ept *ept, struct ept_state s)
{
	s.kind = EPT_PRESENT;
	s.withheld = withheld_of(ept, &s);
	return entry_encode(ept->fmt, &s);
}

/* After a change. */
static inline void slot_unlock(struct ept_slot *s)
{
	table_dirtied(s->table);
	table_unlock(s->table);
}

/* Locks the table that contains the slot and looks again. False, and not locked: the table is dead
 * or the slot is not of this kind any more; start again from the root. */
static inline bool slot_lock(const struct ept *ept, struct ept_slot *s, enum ept_kind kind)
{
	table_lock(s->table);
	s->entry = atomic_load_explicit(s->at, memory_order_acquire);
	if (!table_dead(s->table) && entry_kind(ept->fmt, s->entry, s->level) == kind)
		return true;
	table_unlock(s->table);
	return false;
}

static inline void ept_trace(struct ept_cpu *me, enum ept_event event, gfn_t gfn,
			     enum pg_level level)
{
	if (me->ept->ops->trace)
		me->ept->ops->trace(me->ept->ctx, me->cpu, event, gfn, level);
}

/*
 * Does act() to the slot of `level` that covers gfn, or to the first above it that holds no table,
 * and looks again for as long as it says EPT_LOOK_AGAIN: another CPU was faster, or it made what
 * was there smaller. Returns what it says in the end.
 */
static inline int
slot_settle(struct ept_cpu *me, gfn_t gfn, enum pg_level level,
	    int (*act)(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, void *arg), void *arg)
{
	int r;

	do {
		struct ept_slot s = slot_find(me->ept, gfn, level);

		r = act(me, &s, gfn, arg);
	} while (r == EPT_LOOK_AGAIN);
	return r;
}

/* A present leaf becomes hidden: hide() says what, of the leaf as it was at last. False: look
 * again. s->entry is that leaf. */
bool slot_hide(struct ept_cpu *me, struct ept_slot *s,
	       uint64_t (*hide)(const struct ept *ept, struct ept_state was), struct ept_gather *g);

/* A present leaf becomes another present leaf on the same frame: change() says which. A flush is
 * owed if the guest can do less then. False: look again. */
bool slot_change(struct ept_cpu *me, struct ept_slot *s,
		 struct ept_state (*change)(struct ept_state was, unsigned int arg),
		 unsigned int arg, struct ept_gather *g);

/* Takes out what the slot maps: *was; nobody waits for that any more. left() says which hidden
 * entry is left there. 0; EPT_LOOK_AGAIN: look again (also while it is being filled); EPT_BUSY: it
 * is frozen. */
int must_check slot_take(struct ept_cpu *me, struct ept_slot *s,
			 uint64_t (*left)(const struct ept *ept, struct ept_state was),
			 uint64_t *was, struct ept_gather *g);

/* A slot that maps nothing gets this entry. False: look again; it maps something, or its table is
 * taken away, which is decided under the same lock. */
bool slot_put(struct ept_cpu *me, struct ept_slot *s, uint64_t entry);

/*
 * What is counted when an entry changes is counted here: each leaf that came (n = 1) or went (-1)
 * in its table, after it came and before the lock is let go that took it. Returns what the table
 * has now.
 */
static inline unsigned int leaf_counted(struct ept_cpu *me, struct ept_table *table,
					enum pg_level level, int n)
{
	ept_stat_add(ept_stat_pages(&me->stats, level), n);
	return table_count(table, n);
}

/* A leaf came, and this was its last piece that was not: the table can become a leaf. */
static inline bool leaf_completes(struct ept_cpu *me, struct ept_table *table, enum pg_level level)
{
	return leaf_counted(me, table, level, 1) == me->ept->walk.entries &&
	       level < me->ept->leaf_max;
}

/* And here: all pieces of a table came with it (way = 1), or went (-1). The table has its number.
 */
static inline void pieces_counted(struct ept_cpu *me, enum pg_level level, int way)
{
	int64_t n = fmt_entries(me->ept->fmt);

	ept_stat_add(ept_stat_pages(&me->stats, level), way > 0 ? n : -n);
}

/* The slot of `level` for gfn, which maps nothing yet; tables on the way are made. 0; EPT_HERE: it,
 * or one above it, maps something; EPT_SMALLER: there is a table in it; EPT_NO_TABLE. */
int must_check slot_make(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_slot *s);

/* Puts the entry there, too. Return: as slot_make(). */
int must_check slot_place(struct ept_cpu *me, gfn_t gfn, enum pg_level level, uint64_t entry);

#endif
