/* SPDX-License-Identifier: MIT */
/* collapse=idle: complete ranges wait until no vCPU waits for a page. */
#include "hv/policy/later.h"
#include "hv/policy/list.h"

static struct later later;

static void begin(struct memory *mem, const struct run_config *config)
{
	(void)config;
	later_begin(&later, mem);
}

static void put_off(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	(void)level;
	later_put(&later, mem, cpu, gfn);
}

static bool somebody_waits(const struct memory *mem)
{
	return mem->waited_for && mem->waited_for(mem);
}

/* One range at a time: a vCPU that faults meanwhile waits for one collapse at most. */
static bool step(struct memory *mem, unsigned int cpu)
{
	if (!later_any(&later, mem))
		return false;
	if (somebody_waits(mem)) {
		count_own(&mem->pager.stats[cpu].held_back, 1);
		return false;
	}
	return later_collapse(&later, cpu, 0, mem->end);
}

/* All pages are here: who waits still waits for nobody but itself. */
static bool finish(struct memory *mem, unsigned int cpu)
{
	return later_any(&later, mem) && later_collapse(&later, cpu, 0, mem->end);
}

const struct policy policy_idle = {
	.begin = begin,
	.complete = put_off,
	.step = step,
	.finish = finish,
};
