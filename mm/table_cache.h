/* SPDX-License-Identifier: MIT */
/*
 * 4 KiB pages for second-stage tables, with a reserve.
 *
 * An arriving page may need two table pages at once and must never starve. So reserve the most
 * tables that a guest's memory can need before you map it; table_alloc() then only moves pages from
 * the reserve through a small per-CPU magazine. Pages that come back refill the reserve first. A
 * CPU cannot reach the others' magazines, so the cache owns (MAX_CPUS - 1) * TABLE_MAGAZINE pages
 * beyond what it promised.
 *
 * Pure, as mm/frame.h is.
 */
#ifndef MM_TABLE_CACHE_H
#define MM_TABLE_CACHE_H

#include "mm/frame.h"

#define TABLE_MAGAZINE 8 /* pages in a CPU's magazine */

struct table_magazine {
	unsigned int n;
	hpa_t page[TABLE_MAGAZINE];
} __attribute__((aligned(CACHE_LINE)));

struct table_cache {
	struct frame_pool *pool;
	struct table_magazine cpu[MAX_CPUS]; /* each touched by its own CPU only */

	struct spinlock lock; /* protects the three below */
	uint32_t head;        /* reserve: a list through the frames' owner words, by index */
	uint64_t spare;       /* pages in the reserve */
	uint64_t promised;    /* sum of what was reserved */

	/* Of all CPUs, by relaxed atomic operations, not under the lock. */
	uint64_t in_use; /* handed out by table_alloc() and not back yet */
	uint64_t peak;   /* the highest in_use since table_cache_mark() */
};

void table_cache_init(struct table_cache *cache, struct frame_pool *pool);

/**
 * table_reserve() - promise that n more pages can be in use at once.
 * Return: 0, or -ENOMEM (nothing is changed then).
 */
int must_check table_reserve(struct table_cache *cache, uint64_t n);

/* Takes back a promise; returns the pages beyond the remaining promises to the pool. */
void table_unreserve(struct table_cache *cache, uint64_t n);

/**
 * table_alloc() - one page, whatever is in it.
 * @cpu: the calling CPU, < MAX_CPUS
 * Return: 0 and *page, or -ENOMEM if neither the reserve nor the pool has one.
 */
int must_check table_alloc(struct table_cache *cache, unsigned int cpu, hpa_t *page);

/* Gives a page back. Make sure first that no CPU can walk it any more: see "when a flush is owed"
 * in ept/ept.h. */
void table_free(struct table_cache *cache, unsigned int cpu, hpa_t page);

/* Empties all magazines into the reserve and the reserve's surplus into the pool. Call it while no
 * other CPU uses the cache. */
void table_cache_drain(struct table_cache *cache);

/* Starts a new measurement of the peak. */
void table_cache_mark(struct table_cache *cache);

#endif
