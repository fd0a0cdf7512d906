/* SPDX-License-Identifier: MIT */
/*
 * Slots and tables, for the files of ept/ alone: finding a slot, changing it, locking a table.
 * The rules are on top of ept/ept.h.
 */
#ifndef EPT_SLOT_H
#define EPT_SLOT_H

#include "ept/ept.h"

/* A slot as it was found. `level` is the slot's; `table` is what contains it. */
struct ept_slot {
	_Atomic uint64_t *at;
	uint64_t entry;
	struct ept_table *table;
	enum pg_level level;
};

static inline _Atomic uint64_t *table_entries(const struct ept *ept, hpa_t table)
{
	return frame_virt(ept->pool, table);
}

/* Entries that a loop over a whole table takes at once: each geometry has a multiple of them. */
#define TABLE_STRIDE 4

static inline uint64_t entry_peek(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static inline struct ept_table *table_meta(const struct ept *ept, hpa_t table)
{
	return (struct ept_table *)&frame_of(ept->pool, table)->owner;
}

static inline hpa_t entry_child(const struct ept_format *fmt, uint64_t entry)
{
	return hpa(entry & fmt->addr);
}

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

/* First frame of the page of `level` that holds gfn. */
static inline gfn_t fmt_base(const struct ept_format *fmt, gfn_t gfn, enum pg_level level)
{
	return ALIGN_DOWN(gfn, fmt_frames(fmt, level));
}

/* Bytes that a leaf of this level maps. */
static inline uint64_t fmt_bytes(const struct ept_format *fmt, enum pg_level level)
{
	return fmt_frames(fmt, level) << PAGE_SHIFT;
}

static inline void table_lock(struct ept_table *t)
{
	while (atomic_exchange_explicit(&t->lock, 1, memory_order_acquire))
		cpu_relax();
}

static inline void table_unlock(struct ept_table *t)
{
	atomic_store_explicit(&t->lock, 0, memory_order_release);
}

static inline bool table_dead(const struct ept_table *t)
{
	return atomic_load_explicit(&t->dead, memory_order_relaxed);
}

static inline unsigned int table_why(const struct ept_table *t)
{
	return atomic_load_explicit(&t->why, memory_order_relaxed);
}

/* Adds to the number of present leaves and returns the sum. Acquire and release: whoever reaches
 * the full number sees all the entries that were counted. */
static inline unsigned int table_count(struct ept_table *t, int n)
{
	uint16_t before = atomic_fetch_add_explicit(&t->present, (uint16_t)n, memory_order_acq_rel);

	return (uint16_t)(before + n);
}

static inline void slot_unlock(struct ept_slot *s)
{
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

static inline bool gfn_range_ok(const struct ept *ept, gfn_t gfn, uint64_t frames)
{
	uint64_t space = ept->walk.space;

	return frames && frames <= space && gfn <= space - frames;
}

/* Frames that an entry can point to. */
static inline bool backing_ok(const struct ept *ept, hpa_t backing, uint64_t frames)
{
	return IS_ALIGNED(backing.v, PAGE_SIZE) && backing.v < ept->backing_end &&
	       frames <= (ept->backing_end - backing.v) >> PAGE_SHIFT;
}

static inline bool memtype_ok(const struct ept *ept, enum ept_memtype memtype)
{
	return (unsigned int)memtype < 8 && ept->fmt->memtypes >> memtype & 1;
}

static inline void ept_trace(struct ept_cpu *me, enum ept_event event, gfn_t gfn,
			     enum pg_level level)
{
	if (me->ept->ops->trace)
		me->ept->ops->trace(me->ept->ctx, me->cpu, event, gfn, level);
}

/* --- table.c: making and unmaking table pages --------------------------------------------- */

/* A table page for entries of `level`, all NONE, that nobody else can see yet. */
int must_check table_make(struct ept_cpu *me, enum pg_level level, enum ept_why why, hpa_t *table);

/* Gives back a table that nobody could see. */
void table_discard(struct ept_cpu *me, hpa_t table);

/* --- slot.c -------------------------------------------------------------------------------- */

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

/* Hides what was present, leaf by leaf or all at once, in counters. */
static inline void leaf_counted(struct ept_cpu *me, struct ept_table *table, enum pg_level level,
				int n)
{
	(void)table_count(table, n);
	ept_stat_add(ept_stat_pages(&me->stats, level), n);
}

/* The slot of `level` for gfn, which maps nothing yet; tables on the way are made. 0; EPT_HERE: it,
 * or one above it, maps something; EPT_SMALLER: there is a table in it; EPT_NO_TABLE. */
int must_check slot_make(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_slot *s);

/* --- map.c --------------------------------------------------------------------------------- */

/* Rights that a leaf can give: one without any would look hidden, hardware refuses "write, but not
 * read" as a misconfiguration, and not every format can keep a guest from reading what it runs. A
 * large leaf that may not be executed needs some right that is left. */
static inline bool perms_ok(const struct ept *ept, unsigned int perms)
{
	if (!perms || (perms & ~(unsigned int)EPT_RWX) || (perms & EPT_W && !(perms & EPT_R)) ||
	    (ept->nx && perms == EPT_X))
		return false;
	return ept->fmt->perms_of(ept->fmt->leaf(PG_LEVEL_4K, perms, EPT_WB)) == perms;
}

/* Is anything but empty tables in the range? */
bool anything_mapped(const struct ept *ept, gfn_t gfn, uint64_t frames);

/* Unlinks the tables that are empty and map something of the range: no table stays that maps
 * nothing, so the next map gets the largest leaves. May flush. */
void drop_tables(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g);

/* --- split.c ------------------------------------------------------------------------------- */

/* As ept_split(), but poison is split as well, what is being filled is waited for, and where
 * nothing is (any more) nothing is to be split. */
int must_check split_anything(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
			      struct ept_gather *g);

/* One step of a split. 0: look again (it is split, by this call or another's); EPT_NO_TABLE. */
int must_check split_absent(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, enum ept_why why);

/* --- gather.c ------------------------------------------------------------------------------ */

/* Room for one more table; may flush. The caller holds no lock. */
void gather_make_room(struct ept_gather *g);

/* A table that was unlinked at the slot of `level` that begins at gfn. */
void gather_table(struct ept_gather *g, hpa_t table, gfn_t gfn, enum pg_level level,
		  uint64_t seen_ad, bool harvest);

/* The slot of the table that was gathered last is frozen; it becomes `leaf` after the flush. */
void gather_frozen(struct ept_gather *g, const struct ept_slot *s, uint64_t leaf);

/* All accessed and dirty bits that stand in a table's entries, or-ed. */
uint64_t table_ad(const struct ept *ept, hpa_t table);

#endif
