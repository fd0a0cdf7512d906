/* SPDX-License-Identifier: MIT */
/*
 * collapse=density: when density= of the 512 pages of a range are here, the rest is fetched, and
 * then it collapses. As Linux' khugepaged with max_ptes_none, it goes round and looks at a few
 * ranges at a time; the stream asks for what it wants (struct pager, `wanted`).
 */
#include "hv/mem/collapse.h"
#include "hv/policy/list.h"

#define LOOKS 16 /* ranges in a step */

static struct {
	const struct memory *mem;
	unsigned int least; /* pages */
	gfn_t next;         /* range to look at */
} density;

static void begin(struct memory *mem, const struct run_config *config)
{
	density.mem = mem;
	density.least = config->density;
	density.next = 0;
}

static bool is_dense(const struct memory *mem, gfn_t gfn)
{
	enum pg_level level;
	unsigned int here = ept_filled(&mem->ept, gfn, &level);

	return level == PG_LEVEL_4K && here >= density.least && here < level_frames(PG_LEVEL_2M);
}

/* What is found is the stream's to do, not this policy's: nothing is left to do here. */
static bool step(struct memory *mem, unsigned int cpu)
{
	struct pager *p = &mem->pager;

	(void)cpu;
	if (mem != density.mem || mem->ept.leaf_max == PG_LEVEL_4K)
		return false;
	for (unsigned int i = 0; i < LOOKS && p->wanted >= p->wanted_end; i++) {
		gfn_t gfn = density.next, end = gfn + level_frames(PG_LEVEL_2M);

		density.next = end < mem->end ? end : 0;
		if (is_dense(mem, gfn)) {
			p->wanted = gfn;
			p->wanted_end = end;
		}
	}
	return false;
}

static bool nothing_left(struct memory *mem, unsigned int cpu)
{
	(void)mem;
	(void)cpu;
	return false;
}

const struct policy policy_density = {
	.begin = begin,
	.complete = mem_collapse,
	.step = step,
	.finish = nothing_left,
};
