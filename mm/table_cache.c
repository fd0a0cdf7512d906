/* SPDX-License-Identifier: MIT */
/*
 * The cache of table pages, and why a promise holds without a lock around it all.
 *
 * The cache owns the pages that are in the reserve, in the magazines and in use. A CPU cannot
 * reach what lies in the others' magazines, at most SLACK pages. So it owns SLACK pages more than
 * it promised: while fewer than promised are in use, one is in the reserve or in the caller's own
 * magazine. How many pages it owns is not known exactly without stopping the CPUs, but `spare`
 * plus `in_use` is never more than that, because a page is counted in use only while it is in no
 * magazine. Pages go back to the pool by that lower bound.
 *
 * Nobody writes to a page that is here: who takes it fills it. Where the pool fills with junk, so
 * does a page that comes in.
 */
#include "mm/table_cache.h"

#include "mm/err.h"

#define NO_PAGE UINT32_MAX
#define SLACK   ((MAX_CPUS - 1) * TABLE_MAGAZINE)
#define BATCH   (TABLE_MAGAZINE / 2) /* pages moved between a magazine and the reserve at once */

void table_cache_init(struct table_cache *cache, struct frame_pool *pool)
{
	__builtin_memset(cache, 0, sizeof(*cache));
	cache->pool = pool;
	cache->head = NO_PAGE;
}

static void page_comes_in(struct table_cache *cache, hpa_t page)
{
	if (cache->pool->junk)
		__builtin_memset(frame_virt(cache->pool, page), FRAME_JUNK, PAGE_SIZE);
}

/* in_use and peak are changed by all CPUs without the lock; nothing is ordered by them. */
static void page_goes_out(struct table_cache *cache, hpa_t page)
{
	struct frame *f = frame_of(cache->pool, page);
	uint64_t in_use = __atomic_add_fetch(&cache->in_use, 1, __ATOMIC_RELAXED);
	uint64_t peak = __atomic_load_n(&cache->peak, __ATOMIC_RELAXED);

	while (peak < in_use && !__atomic_compare_exchange_n(&cache->peak, &peak, in_use, true,
							     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	atomic_store_explicit(&f->owner, 0, memory_order_relaxed);
	atomic_store_explicit(&f->refs, 0, memory_order_relaxed);
}

/* The lock is held by the callers of all functions from here to reserve_trim(). */
static void reserve_push(struct table_cache *cache, hpa_t page)
{
	struct frame *f = frame_of(cache->pool, page);

	atomic_store_explicit(&f->owner, cache->head, memory_order_relaxed);
	cache->head = (uint32_t)(f - cache->pool->frames);
	cache->spare++;
}

static hpa_t reserve_pop(struct table_cache *cache)
{
	struct frame *f = &cache->pool->frames[cache->head];
	hpa_t page = hpa((cache->pool->base_pfn + cache->head) << PAGE_SHIFT);

	cache->head = (uint32_t)atomic_load_explicit(&f->owner, memory_order_relaxed);
	cache->spare--;
	return page;
}

/* Pages that the cache must own. */
static uint64_t wanted(const struct table_cache *cache)
{
	return cache->promised ? cache->promised + SLACK : 0;
}

/* Pages that it owns, at least. */
static uint64_t owned(const struct table_cache *cache)
{
	return cache->spare + __atomic_load_n(&cache->in_use, __ATOMIC_RELAXED);
}

static void reserve_trim(struct table_cache *cache)
{
	while (cache->spare > 0 && owned(cache) > wanted(cache)) {
		/* Ours, and of order 0: it can't be refused. */
		int err = frame_free(cache->pool, reserve_pop(cache), FRAME_ORDER_4K);

		(void)err;
	}
}

/* Fills the reserve up to what must be owned; -ENOMEM changes nothing but the reserve. */
static int reserve_fill(struct table_cache *cache)
{
	uint64_t have = owned(cache);

	/* Look first: a hopeless request must not empty the pool for a moment. */
	if (have < wanted(cache) &&
	    wanted(cache) - have > frame_count_free(cache->pool, FRAME_ORDER_4K))
		return -ENOMEM;
	while (owned(cache) < wanted(cache)) {
		hpa_t page = frame_alloc(cache->pool, FRAME_ORDER_4K);

		if (page.v == HPA_NONE.v)
			return -ENOMEM;
		page_comes_in(cache, page);
		reserve_push(cache, page);
	}
	return 0;
}

int table_reserve(struct table_cache *cache, uint64_t n)
{
	int err;

	/* More than there can ever be; and no sum overflows below. */
	if (n > cache->pool->nframes)
		return -ENOMEM;
	spin_lock(&cache->lock);
	cache->promised += n;
	err = reserve_fill(cache);
	if (err) {
		cache->promised -= n;
		reserve_trim(cache);
	}
	spin_unlock(&cache->lock);
	return err;
}

void table_unreserve(struct table_cache *cache, uint64_t n)
{
	spin_lock(&cache->lock);
	cache->promised -= MIN(n, cache->promised);
	reserve_trim(cache);
	spin_unlock(&cache->lock);
}

/* The caller's magazine is empty. */
static int magazine_refill(struct table_cache *cache, struct table_magazine *mag)
{
	hpa_t page;

	spin_lock(&cache->lock);
	while (mag->n < BATCH && cache->spare > 0)
		mag->page[mag->n++] = reserve_pop(cache);
	spin_unlock(&cache->lock);
	if (mag->n > 0)
		return 0;
	page = frame_alloc(cache->pool, FRAME_ORDER_4K);
	if (page.v == HPA_NONE.v)
		return -ENOMEM;
	page_comes_in(cache, page);
	mag->page[mag->n++] = page;
	return 0;
}

static void magazine_spill(struct table_cache *cache, struct table_magazine *mag, unsigned int n)
{
	spin_lock(&cache->lock);
	while (n-- > 0)
		reserve_push(cache, mag->page[--mag->n]);
	reserve_trim(cache);
	spin_unlock(&cache->lock);
}

int table_alloc(struct table_cache *cache, unsigned int cpu, hpa_t *page)
{
	struct table_magazine *mag = &cache->cpu[cpu];

	if (mag->n == 0 && magazine_refill(cache, mag))
		return -ENOMEM;
	*page = mag->page[--mag->n];
	page_goes_out(cache, *page);
	return 0;
}

void table_free(struct table_cache *cache, unsigned int cpu, hpa_t page)
{
	struct table_magazine *mag = &cache->cpu[cpu];

	page_comes_in(cache, page);
	/* Before the page is in the magazine: see owned(). */
	__atomic_sub_fetch(&cache->in_use, 1, __ATOMIC_RELAXED);
	if (mag->n == TABLE_MAGAZINE)
		magazine_spill(cache, mag, BATCH);
	mag->page[mag->n++] = page;
}

void table_cache_drain(struct table_cache *cache)
{
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		magazine_spill(cache, &cache->cpu[cpu], cache->cpu[cpu].n);
}

void table_cache_mark(struct table_cache *cache)
{
	__atomic_store_n(&cache->peak, __atomic_load_n(&cache->in_use, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
}
