/* SPDX-License-Identifier: MIT */
/*
 * Zeroed 4 KiB pages for second-stage tables, with a reserve.
 *
 * An arriving page may need two table pages at once and must never starve: whoever sets up a
 * guest's memory reserves what its tables can need at the worst, and table_alloc() then only
 * moves pages from that reserve through a small per-CPU magazine. Pages that come back refill the
 * reserve first. Since a CPU cannot reach what lies in the others' magazines, the cache owns
 * (MAX_CPUS - 1) * TABLE_MAGAZINE pages beyond what it promised.
 *
 * Pure, as mm/frame.h is.
 */
#ifndef MM_TABLE_CACHE_H
#define MM_TABLE_CACHE_H

#include "mm/frame.h"

#define TABLE_MAGAZINE 8 /* pages that a CPU keeps at hand */

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
	uint64_t peak;   /* the most that in_use ever was since table_cache_mark() */
};

void table_cache_init(struct table_cache *cache, struct frame_pool *pool);

/**
 * table_reserve() - promise that n more pages can be in use at once.
 * Return: 0, or -ENOMEM (nothing is changed then).
 */
int must_check table_reserve(struct table_cache *cache, uint64_t n);

/* Takes back a promise; pages beyond what is still promised go back to the pool. */
void table_unreserve(struct table_cache *cache, uint64_t n);

/**
 * table_alloc() - one zeroed page.
 * @cpu: the calling CPU, < MAX_CPUS
 * Return: 0 and *page, or -ENOMEM if neither the reserve nor the pool has one.
 */
int must_check table_alloc(struct table_cache *cache, unsigned int cpu, hpa_t *page);

/* Gives a page back. The caller owes that no CPU can walk it any more. */
void table_free(struct table_cache *cache, unsigned int cpu, hpa_t page);

/* Empties all magazines into the reserve and the reserve's surplus into the pool. No CPU may be
 * using the cache meanwhile. */
void table_cache_drain(struct table_cache *cache);

/* Starts a new measurement of the peak. */
void table_cache_mark(struct table_cache *cache);

#endif
