/* SPDX-License-Identifier: MIT */
/*
 * job=hot: which parts of the guest's memory are hot, and large leaves for these alone. The
 * payload's memory, and as much behind it that nobody touches, is split to 4 KiB first; then
 * samples of accessed bits tell what is hot, as DAMON's do, and only that collapses.
 *
 * Each round is one adapting of the regions.
 */
#include "hv/base/console.h"
#include "hv/job/guest_leaves.h"
#include "hv/job/list.h"
#include "hv/mem/watch.h"
#include "mm/percpu.h"

#define EVERY       20 /* intervals of one round */
#define INTERVAL_US 1000
#define REGIONS_MIN 10
#define REGIONS_MAX 40
#define LEAST       (EVERY / 2) /* intervals in which a hot region was accessed */
#define STEP        512         /* entries of a census between two turns of the guest */

static struct watch watch;
static gfn_t first, idle;  /* whole ranges of the payload's memory, */
static gfn_t end_of_watch; /* and, beside these, memory that nobody touches */

/* --- all small ---------------------------------------------------------------------------- */

/* In steps of 2 MiB, between which the guest gets its turns. */
static const char *split_all(struct guest_run *run)
{
	struct memory *mem = &run->vm->mem;
	uint64_t size = level_frames(PG_LEVEL_2M);

	for (gfn_t gfn = first; gfn < end_of_watch; gfn += size) {
		struct ept_split_result result;

		ept_split_range(mem_handle(mem), gfn, size, PG_LEVEL_4K, EPT_WHY_ASKED,
				mem_gather(mem), &result);
		ept_sync(mem_gather(mem));
		guest_figure(run, "split_ahead", "leaves split before the watch", result.split);
		MUST(!result.refused[EPT_NO_TABLE_NR], "no table pages to split the memory");
		TRY(guest_turn(run));
	}
	return guest_all_leaves(run, first, end_of_watch, PG_LEVEL_4K);
}

static const char *begin(struct guest_run *run)
{
	struct watch_config config = {
		.min = REGIONS_MIN,
		.max = REGIONS_MAX,
		.seed = run->config->seed,
		.interval_us = INTERVAL_US,
		.every = EVERY,
	};

	TRY(guest_ranges(run, &first, &idle));
	end_of_watch = MIN(idle + (idle - first), run->vm->mem.frames);
	MUST(run->vm->mem.ept.leaf_max > PG_LEVEL_4K,
	     "in frames of 4 KiB nothing can become large: use backing=2M or 1G");
	TRY(split_all(run));
	config.gfn = first;
	config.frames = end_of_watch - first;
	MUST(!watch_begin(&watch, &run->vm->mem, &config), "the watch did not begin");
	return NULL;
}

/* --- the watch ---------------------------------------------------------------------------- */

/* The guest passes over its memory twice in each interval, however slow its CPU is. */
static const char *one_round(struct guest_run *run)
{
	uint64_t until = watch.adapted + 1;

	while (watch.adapted < until) {
		watch_poll(&watch);
		TRY(guest_passes(run, 2));
	}
	return NULL;
}

/* Sums the accesses seen in large and in small leaves, as frames times intervals. */
static uint64_t accesses(const struct guest_run *run, bool large)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < watch.monitor.n; i++) {
		const struct ept_region *r = &watch.monitor.region[i];

		for (gfn_t gfn = r->gfn; gfn < r->gfn + r->frames; gfn++)
			if ((ept_lookup(&run->vm->mem.ept, gfn).level > PG_LEVEL_4K) == large)
				sum += r->heat;
	}
	return sum;
}

static void print_regions(void)
{
	for (unsigned int i = 0; i < watch.monitor.n; i++) {
		const struct ept_region *r = &watch.monitor.region[i];

		con_printf("cleave:   gpa 0x%09llx, %6llu KiB: accessed in %2u of %u intervals\n",
			   (unsigned long long)gfn_to_gpa(r->gfn).v,
			   (unsigned long long)(r->frames * PAGE_SIZE / KIB), r->heat, EVERY);
	}
}

/* Counts the frames of the payload's memory in large leaves, while the guest runs. */
static const char *count_large(struct guest_run *run, uint64_t *frames)
{
	struct ept_census c = { 0 };

	for (gfn_t gfn = first; gfn < end_of_watch;) {
		gfn = ept_census_some(&run->vm->mem.ept, gfn, end_of_watch, STEP, &c);
		TRY(guest_turn(run));
	}
	*frames = c.kind[EPT_PRESENT][PG_LEVEL_2M] * level_frames(PG_LEVEL_2M);
	MUST(*frames + c.kind[EPT_PRESENT][PG_LEVEL_4K] == end_of_watch - first,
	     "the census misses some of the memory");
	return NULL;
}

/* Regions at the edge between the two may still have the heat of what they were divided from. */
static const char *idle_is_cold(struct guest_run *run)
{
	uint64_t hot = 0;

	for (unsigned int i = 0; i < watch.monitor.n; i++) {
		const struct ept_region *r = &watch.monitor.region[i];

		if (r->heat >= LEAST && r->gfn + r->frames > idle)
			hot += r->gfn + r->frames - MAX(r->gfn, idle);
	}
	guest_figure(run, "idle_hot", "pages that nobody touches and that were found to be hot",
		     hot);
	MUST(hot * 4 <= end_of_watch - idle, "memory that nobody touches was found to be hot");
	return NULL;
}

/* The guest accesses large leaves at least twice as much as small ones, page for page. */
static const char *judge(struct guest_run *run, uint64_t large)
{
	uint64_t hot = accesses(run, true), cold = accesses(run, false);
	uint64_t small = end_of_watch - first - large;

	guest_figure(run, "large_pct", "% of the memory that was watched is in large leaves",
		     large * 100 / (large + small));
	guest_figure(run, "access_pct", "% of the accesses that were seen go there",
		     hot * 100 / MAX(hot + cold, UINT64_C(1)));
	MUST(large, "no 2 MiB were found to be hot: make work= or rounds= larger");
	MUST(hot * small >= 2 * cold * large,
	     "what has become large is hardly hotter than the rest");
	return NULL;
}

static const char *end(struct guest_run *run)
{
	uint64_t large;

	if (run->verbose)
		print_regions();
	guest_figure(run, "regions", "regions in the end", watch.monitor.n);
	guest_figure(run, "samples", "entries looked at", watch.entries);
	guest_figure(run, "intervals", "intervals, with a flush each at most", watch.intervals);
	MUST(watch.entries <= 2 * REGIONS_MAX * (watch.intervals + 1) &&
		     watch.flushes <= watch.intervals + 1,
	     "the cost is not bounded by the regions");
	guest_figure(run, "hot_collapses", "ranges that became large because they are hot",
		     watch_collapse(&watch, LEAST, UINT32_MAX));
	TRY(idle_is_cold(run));
	TRY(count_large(run, &large));
	TRY(judge(run, large));
	return guest_passes(run, 1);
}

const char *hot_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "hot",
		.begin = begin,
		.round = one_round,
		.end = end,
	};

	return guest_run(&job, config, info);
}
