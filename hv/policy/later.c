/* SPDX-License-Identifier: MIT */
/* Ranges that collapse later. See hv/policy/later.h. */
#include "hv/policy/later.h"

#include "hv/mem/collapse.h"

#define RANGE (2 * MIB >> PAGE_SHIFT) /* frames */

void later_begin(struct later *l, struct memory *mem)
{
	__builtin_memset(l, 0, sizeof(*l));
	l->mem = mem;
}

/* The table that is complete lies below the leaves that are there. */
static void collapse(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	enum pg_level level = ept_lookup(&mem->ept, gfn).level;

	if (level < mem->ept.leaf_max)
		mem_collapse(mem, cpu, gfn, level + 1);
}

void later_put(struct later *l, struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	uint64_t bit = UINT64_C(1) << gfn / RANGE % 64;
	gfn_t range = gfn / RANGE;

	if (mem != l->mem || range >= LATER_RANGES) {
		collapse(mem, cpu, gfn);
		return;
	}
	count_own(&mem->pager.stats[cpu].put_off, 1);
	/* Counts first: who takes the bit finds it counted. */
	atomic_fetch_add_explicit(&l->waiting, 1, memory_order_relaxed);
	if (atomic_fetch_or_explicit(&l->word[range / 64], bit, memory_order_acq_rel) & bit)
		atomic_fetch_sub_explicit(&l->waiting, 1, memory_order_relaxed);
}

bool later_any(const struct later *l, const struct memory *mem)
{
	return mem == l->mem && atomic_load_explicit(&l->waiting, memory_order_acquire);
}

/* The first range from `range` on whose bit is set, or `end`. */
static uint64_t next(const struct later *l, uint64_t range, uint64_t end)
{
	while (range < end) {
		uint64_t rest = atomic_load_explicit(&l->word[range / 64], memory_order_acquire) >>
				range % 64;

		if (rest)
			return MIN(range + (unsigned int)__builtin_ctzll(rest), end);
		range = ALIGN_DOWN(range, 64) + 64;
	}
	return end;
}

bool later_collapse(struct later *l, unsigned int cpu, gfn_t from, gfn_t end)
{
	uint64_t last = MIN((end + RANGE - 1) / RANGE, LATER_RANGES);
	uint64_t range = next(l, from / RANGE, last);

	if (range == last)
		return false;
	atomic_fetch_and_explicit(&l->word[range / 64], ~(UINT64_C(1) << range % 64),
				  memory_order_acq_rel);
	atomic_fetch_sub_explicit(&l->waiting, 1, memory_order_relaxed);
	collapse(l->mem, cpu, range * RANGE);
	return true;
}
