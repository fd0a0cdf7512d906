/* SPDX-License-Identifier: MIT */
/*
 * collapse=hot: complete ranges wait until samples of accessed bits find them hot (hv/mem/watch.h);
 * the hottest collapse first. What stays cold collapses when all pages are here. The price is a
 * flush each millisecond.
 */
#include "hv/mem/watch.h"
#include "hv/policy/later.h"
#include "hv/policy/list.h"

#define INTERVAL_US 1000
#define EVERY       10 /* intervals between two looks at what is hot */
#define REGIONS_MIN 32
#define REGIONS_MAX EPT_REGIONS_MAX

static struct {
	struct later later;
	struct watch watch;
} hot;

static void begin(struct memory *mem, const struct run_config *config)
{
	const struct watch_config watch = {
		.frames = mem->end,
		.min = REGIONS_MIN,
		.max = REGIONS_MAX,
		.seed = config->seed,
		.interval_us = INTERVAL_US,
		.every = EVERY,
	};
	int err = watch_begin(&hot.watch, mem, &watch);

	(void)err; /* then there are no regions, and nothing is hot */
	later_begin(&hot.later, mem);
}

static void put_off(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	(void)level;
	later_put(&hot.later, mem, cpu, gfn);
}

/* Collapses a range of the hottest region that has one. Hot is what is at least half as hot as the
 * hottest. */
static bool collapse_hottest(unsigned int cpu, bool cold_too)
{
	const struct ept_monitor *m = &hot.watch.monitor;
	uint8_t order[EPT_REGIONS_MAX];
	unsigned int n = ept_monitor_hottest(m, !cold_too, order);

	for (unsigned int i = 0; i < n; i++) {
		const struct ept_region *r = &m->region[order[i]];

		if (!cold_too && 2 * r->heat < m->region[order[0]].heat)
			break;
		if (later_collapse(&hot.later, cpu, r->gfn, r->gfn + r->frames))
			return true;
	}
	return false;
}

static bool step(struct memory *mem, unsigned int cpu)
{
	if (mem != hot.later.mem)
		return false;
	watch_poll(&hot.watch);
	if (!later_any(&hot.later, mem) || !collapse_hottest(cpu, false))
		return false;
	count_own(&mem->pager.stats[cpu].found_hot, 1);
	return true;
}

static bool finish(struct memory *mem, unsigned int cpu)
{
	return later_any(&hot.later, mem) &&
	       (collapse_hottest(cpu, true) || later_collapse(&hot.later, cpu, 0, mem->end));
}

const struct policy policy_hot = {
	.begin = begin,
	.complete = put_off,
	.step = step,
	.finish = finish,
};
