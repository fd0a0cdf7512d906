/* SPDX-License-Identifier: MIT */
/* The policies: the plain ones, and the table of all. See hv/policy/policy.h; docs/extending.md
 * adds one. */
#include "hv/policy/policy.h"

#include "hv/mem/collapse.h"
#include "hv/policy/list.h"

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

const struct policy policy_complete = {
	.begin = nothing_to_begin,
	.complete = mem_collapse,
	.finish = nothing_left,
};

const struct policy policy_end = {
	.begin = nothing_to_begin,
	.complete = put_off,
	.finish = collapse_once,
};

const struct policy policy_never = {
	.keeps_small = true,
	.begin = nothing_to_begin,
	.complete = put_off,
	.finish = nothing_left,
};

/* A name in the list without a policy above does not compile. */
static const struct {
	const char *name;
	const struct policy *policy;
} policies[] = {
#define X(id, name) [POLICY_##id] = { #name, &policy_##name },
	CONFIG_POLICIES(X)
#undef X
};

const struct policy *policy_of(enum config_policy which)
{
	return policies[which].policy;
}

const char *policy_name(enum config_policy which)
{
	return policies[which].name;
}
