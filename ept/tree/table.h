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

/* Loops over a whole table are for the compiler to unroll: they take as long as all else about a
 * collapse, a split or a collection together. */
#define TABLE_LOOP _Pragma("GCC unroll 16")

static inline uint64_t entry_peek(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

/* Bits that any of a table's entries has. */
static inline uint64_t table_any(const struct ept_format *fmt, const _Atomic uint64_t *at)
{
	const _Atomic uint64_t *end = at + fmt_entries(fmt);
	uint64_t any = 0;

	TABLE_LOOP
	for (; at < end; at++)
		any |= entry_peek(at);
	return any;
}

/* Bits in which any of a table's entries differs from first + i * step. */
static inline uint64_t table_differs(const struct ept_format *fmt, const _Atomic uint64_t *at,
				     uint64_t first, uint64_t step)
{
	const _Atomic uint64_t *end = at + fmt_entries(fmt);
	uint64_t differs = 0;

	TABLE_LOOP
	for (; at < end; at++, first += step)
		differs |= entry_peek(at) ^ first;
	return differs;
}

static inline struct ept_table *table_meta(const struct ept *ept, hpa_t table)
{
	/* A descriptor for each page: so the address of a page, divided, is an offset. */
	return (struct ept_table *)(ept->walk.owners +
				    table.v / (PAGE_SIZE / sizeof(struct frame)));
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

/* An entry may have become dirty, by what the caller has just done: a collection looks. Release:
 * who says after us that nothing is dirty sees what we did. */
static inline void table_dirtied(struct ept_table *t)
{
	atomic_store_explicit(&t->quiet, 0, memory_order_release);
}

static inline bool table_dead(const struct ept_table *t)
{
	return atomic_load_explicit(&t->dead, memory_order_relaxed);
}

static inline unsigned int table_why(const struct ept_table *t)
{
	return atomic_load_explicit(&t->why, memory_order_relaxed);
}

/* With its lock held: all entries are PRESENT, and nobody but hardware changes any. */
static inline bool table_complete(const struct ept *ept, const struct ept_table *t)
{
	return atomic_load_explicit(&t->present, memory_order_acquire) == fmt_entries(ept->fmt);
}

/* Adds to the number of present leaves and returns the sum. Acquire and release: whoever reaches
 * the full number sees all the entries that were counted. */
static inline unsigned int table_count(struct ept_table *t, int n)
{
	uint16_t before = atomic_fetch_add_explicit(&t->present, (uint16_t)n, memory_order_acq_rel);

	return (uint16_t)(before + n);
}

/* Writes entry, entry + step, entry + 2 * step, ... */
static inline void table_fill(const struct ept *ept, hpa_t table, uint64_t entry, uint64_t step)
{
	_Atomic uint64_t *at = table_entries(ept, table);
	_Atomic uint64_t *end = at + fmt_entries(ept->fmt);

	TABLE_LOOP
	for (; at < end; at++, entry += step)
		atomic_store_explicit(at, entry, memory_order_relaxed);
}

/* A table page for entries of `level` that nobody else can see yet, and that holds anything: it is
 * to be filled. */
int must_check table_make(struct ept_cpu *me, enum pg_level level, enum ept_why why, hpa_t *table);

/* The same, with all entries NONE. */
int must_check table_make_empty(struct ept_cpu *me, enum pg_level level, enum ept_why why,
				hpa_t *table);

/* Gives back a table that nobody could see. */
void table_discard(struct ept_cpu *me, hpa_t table);

#endif
