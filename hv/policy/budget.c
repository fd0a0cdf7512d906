/* SPDX-License-Identifier: MIT */
/* collapse=budget: complete ranges wait; at most budget= of them collapse per millisecond. */
#include "hv/base/clock.h"
#include "hv/policy/later.h"
#include "hv/policy/list.h"

static struct {
	struct later later;
	uint64_t begun; /* TSC */
	uint64_t per_ms, used;
} budget;

static void begin(struct memory *mem, const struct run_config *config)
{
	later_begin(&budget.later, mem);
	budget.begun = clock_now();
	budget.per_ms = config->budget;
	budget.used = 0;
}

static void put_off(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	(void)level;
	later_put(&budget.later, mem, cpu, gfn);
}

/* Collapses one range only, so that urgent pages get their turn. */
static bool step(struct memory *mem, unsigned int cpu)
{
	uint64_t ms = cycles_to_us(clock_now() - budget.begun) / 1000 + 1;

	if (!later_any(&budget.later, mem) || budget.used >= ms * budget.per_ms ||
	    !later_collapse(&budget.later, cpu, 0, mem->end))
		return false;
	budget.used++;
	return true;
}

static bool finish(struct memory *mem, unsigned int cpu)
{
	(void)step(mem, cpu);
	return later_any(&budget.later, mem);
}

const struct policy policy_budget = {
	.begin = begin,
	.complete = put_off,
	.step = step,
	.finish = finish,
};
