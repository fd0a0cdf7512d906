/* SPDX-License-Identifier: MIT */
/* Collapsing in place. See hv/mem/collapse.h. */
#include "hv/mem/collapse.h"

#include "hv/base/clock.h"

static void note(struct memory *mem, unsigned int cpu, uint64_t begin, uint64_t collapsed)
{
	count_own(&mem->pager.stats[cpu].collapse_cycles, clock_now() - begin);
	count_own(&mem->pager.stats[cpu].collapsed, collapsed);
}

void mem_collapse(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	uint64_t begin = clock_now();
	int n = ept_collapse(ept_cpu(&mem->ept, cpu), gfn, level, &mem->gather[cpu]);

	note(mem, cpu, begin, n > 0 ? (uint64_t)n : 0);
}

uint64_t mem_collapse_all(struct memory *mem, unsigned int cpu)
{
	struct ept_collapse_result result;
	uint64_t begin = clock_now();

	ept_collapse_range(ept_cpu(&mem->ept, cpu), 0, mem->end, &mem->gather[cpu], &result);
	ept_sync(&mem->gather[cpu]);
	note(mem, cpu, begin, result.collapsed);
	return result.collapsed;
}
