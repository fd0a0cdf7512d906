/* SPDX-License-Identifier: MIT */
/* The policies: one row each. See hv/policy/policy.h. */
#include "hv/policy/policy.h"

#include "hv/mem/collapse.h"
#include "hv/policy/budget.h"

static void nothing_to_begin(struct memory *mem, const struct run_config *config)
{
	(void)mem;
	(void)config;
}

static void put_off(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	(void)mem;
	(void)cpu;
	(void)gfn;
	(void)level;
}

static bool nothing_left(struct memory *mem, unsigned int cpu)
{
	(void)mem;
	(void)cpu;
	return false;
}

static bool collapse_once(struct memory *mem, unsigned int cpu)
{
	(void)mem_collapse_all(mem, cpu);
	return false;
}

static const struct policy policies[] = {
	[POLICY_COMPLETE] = {
		.name = "complete",
		.begin = nothing_to_begin,
		.complete = mem_collapse,
		.finish = nothing_left,
	},
	[POLICY_END] = {
		.name = "end",
		.begin = nothing_to_begin,
		.complete = put_off,
		.finish = collapse_once,
	},
	[POLICY_BUDGET] = {
		.name = "budget",
		.begin = budget_begin,
		.complete = budget_complete,
		.step = budget_step,
		.finish = budget_finish,
	},
	[POLICY_NEVER] = {
		.name = "never",
		.keeps_small = true,
		.begin = nothing_to_begin,
		.complete = put_off,
		.finish = nothing_left,
	},
};

const struct policy *policy_of(enum config_policy which)
{
	return &policies[which];
}
