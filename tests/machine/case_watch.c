/* SPDX-License-Identifier: MIT */
/* In-machine cases of access monitoring: hot and cold told apart, at what price, and what for. */
#include "hv/mem/watch.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "mm/percpu.h"
#include "tests/machine/cases.h"
#include "tests/machine/lab.h"

#define WORK      (16 * MIB)
#define QUARTER   (8 * MIB >> PAGE_SHIFT)
#define EVERY     20 /* intervals from one adapting to the next */
#define ROUNDS    12 /* times that it adapts */
#define REGIONS   40 /* regions */
#define MIN_COUNT 10

static struct watch watch;

static const char *begin(struct vm *vm, gfn_t gfn, uint64_t frames)
{
	const struct watch_config config = {
		.gfn = gfn,
		.frames = frames,
		.min = MIN_COUNT,
		.max = REGIONS,
		.seed = 11,
		.interval_us = 1000,
		.every = EVERY,
	};

	MUST(!watch_begin(&watch, &vm->mem, &config), "the watch did not begin");
	return NULL;
}

/* --- hot and cold -------------------------------------------------------------------------- */

/* The guest's memory in 4 KiB leaves, but every fourth range in one of 2 MiB. */
static const char *mixed(struct lab *lab)
{
	for (gfn_t gfn = WORK >> PAGE_SHIFT; gfn < (WORK >> PAGE_SHIFT) + 4 * QUARTER;
	     gfn += RANGE_FRAMES)
		TRY(gfn / RANGE_FRAMES % 4 ? lab_fill_all(lab, gfn, gfn + RANGE_FRAMES, PG_LEVEL_4K)
					   : lab_fill(lab, gfn, PG_LEVEL_2M));
	return NULL;
}

/* Heat of the pages in [gfn, end), summed, in hundredths of the intervals. */
static uint64_t heat_of(gfn_t gfn, gfn_t end)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < watch.monitor.n; i++) {
		const struct ept_region *r = &watch.monitor.region[i];
		gfn_t from = MAX(gfn, r->gfn), to = MIN(end, r->gfn + r->frames);

		if (from < to)
			sum += (to - from) * r->heat;
	}
	return sum * 100 / EVERY;
}

/* Ranges of [gfn, end) that are one leaf. */
static unsigned int large_of(const struct lab *lab, gfn_t gfn, gfn_t end)
{
	unsigned int n = 0;

	for (; gfn < end; gfn += RANGE_FRAMES)
		n += ept_lookup(&lab->vm->mem.ept, gfn).level >= PG_LEVEL_2M;
	return n;
}

static const char *tell_apart(uint64_t hot, uint64_t cold)
{
	con_printf("cleave: hot %llu %%, cold %llu %% of %u intervals; %u regions, %llu entries "
		   "and %llu flushes for %llu intervals\n",
		   (unsigned long long)hot, (unsigned long long)cold, EVERY, watch.monitor.n,
		   (unsigned long long)watch.entries, (unsigned long long)watch.flushes,
		   (unsigned long long)watch.intervals);
	MUST(hot >= 60 && cold <= 30, "hot and cold are not told apart");
	MUST(watch.entries <= 2 * REGIONS * (watch.intervals + 1) &&
		     watch.flushes <= watch.intervals + 1,
	     "the cost is not bounded by the regions");
	return NULL;
}

static uint64_t passes(const struct lab *lab)
{
	return __atomic_load_n(&lab->vm->vcpu[0].passes, __ATOMIC_RELAXED);
}

static const char *run_watched(struct lab *lab)
{
	while (!vm_all_ready(lab->vm))
		MUST(lab_turn(lab), "the guest was not ready in time");
	while (watch.adapted < ROUNDS) {
		uint64_t n = passes(lab);

		watch_poll(&watch);
		/* However slow its CPU is: in each interval it has its say. */
		while (passes(lab) < n + 2)
			MUST(lab_turn(lab) && !lab->vm->over, "the guest ended");
	}
	return NULL;
}

static const char *hot_is_collapsed_first(struct lab *lab)
{
	unsigned int quarter = (unsigned int)lab->config.seed % 4, made;
	gfn_t first = WORK >> PAGE_SHIFT, hot = first + quarter * QUARTER;

	lab->at_hand = true;
	TRY(mixed(lab));
	TRY(begin(lab->vm, first, 4 * QUARTER));
	TRY(lab_start(lab, "hot", lab->config.seed, WORK, 32 * MIB, PAGE_SIZE));
	TRY(run_watched(lab));
	TRY(tell_apart(heat_of(hot, hot + QUARTER) / QUARTER,
		       (heat_of(first, hot) + heat_of(hot + QUARTER, first + 4 * QUARTER)) /
			       (3 * QUARTER)));
	made = watch_collapse(&watch, EVERY / 2, 64);
	con_printf("cleave: %u ranges collapsed; of the hot part %u of 4 are large, of the rest "
		   "%u of 12\n",
		   made, large_of(lab, hot, hot + QUARTER),
		   large_of(lab, first, hot) + large_of(lab, hot + QUARTER, first + 4 * QUARTER));
	MUST(made >= 2 && large_of(lab, hot, hot + QUARTER) >= 3, "what is hot is still small");
	MUST(large_of(lab, first, hot) + large_of(lab, hot + QUARTER, first + 4 * QUARTER) <= 4,
	     "what is cold was collapsed");
	return lab_finish(lab);
}

/* --- the price ----------------------------------------------------------------------------- */

static const char *price_of(struct lab *lab, uint64_t frames, uint64_t *entries)
{
	TRY(begin(lab->vm, 0, frames));
	for (unsigned int i = 0; i < ROUNDS * EVERY; i++) {
		watch.due = 0; /* nobody runs: there is nothing to wait for */
		watch_poll(&watch);
	}
	*entries = watch.entries;
	MUST(watch.flushes <= watch.intervals + 1, "more than one flush for an interval");
	return NULL;
}

/* 64 MiB of small leaves, 1 GiB of all sizes: the same price, but for chance. */
static const char *watching_costs_by_regions(struct lab *lab)
{
	uint64_t small, large;

	for (gfn_t gfn = 0; gfn < GIB_FRAMES; gfn += RANGE_FRAMES)
		TRY(gfn < 64 * MIB >> PAGE_SHIFT
			    ? lab_fill_all(lab, gfn, gfn + RANGE_FRAMES, PG_LEVEL_4K)
			    : lab_fill(lab, gfn, PG_LEVEL_2M));
	TRY(price_of(lab, 64 * MIB >> PAGE_SHIFT, &small));
	TRY(price_of(lab, GIB_FRAMES, &large));
	con_printf("cleave: entries looked at in %u intervals: %llu for 64 MiB, %llu for 1 GiB\n",
		   ROUNDS * EVERY, (unsigned long long)small, (unsigned long long)large);
	MUST(large <= small + small / 10, "the cost depends on the memory");
	MUST(large <= 2 * REGIONS * (ROUNDS * EVERY + 1), "it is not bounded by the regions");
	return NULL;
}

CASES_WATCH(LAB_JOB)
