/* SPDX-License-Identifier: MIT */
/*
 * Table pages: their entries, and what is kept about each beside them. Who may change what is said
 * on top of ept/ept.h.
 */
#ifndef EPT_TREE_TABLE_H
#define EPT_TREE_TABLE_H

#include "ept/ept.h"

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

/* A table page for entries of `level`, all NONE, that nobody else can see yet. */
int must_check table_make(struct ept_cpu *me, enum pg_level level, enum ept_why why, hpa_t *table);

/* Gives back a table that nobody could see. */
void table_discard(struct ept_cpu *me, hpa_t table);

#endif
