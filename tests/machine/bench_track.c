/* SPDX-License-Identifier: MIT */
/* Dirty tracking of all of region=, and looks at the accessed bits: see tests/machine/bench.h. No
 * guest runs: what hardware would write, the bench writes, outside of what is measured. */
#include "ept/access.h"
#include "ept/monitor.h"
#include "ept/track.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/vm/make.h"
#include "hv/vm/payload.h"
#include "hv/vm/run.h"
#include "mm/machine.h"
#include "tests/machine/bench.h"

#define STEP       4096 /* entries in one bounded step */
#define WORDS      (GIB / PAGE_SIZE / 64)
#define ONE_PCT    100 /* of so many pages one is written */
#define TEN_PCT    10
#define REGIONS    32
#define NOT_TO_END "a step of tracking failed"

static uint64_t bitmap[WORDS];

typedef int (*step_fn)(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
		       struct ept_gather *g);

/* Cycles until the steps are through; 0: one of them failed. */
static uint64_t through(struct vm *vm, step_fn step)
{
	struct ept_cpu *me = ept_cpu(&vm->mem.ept, 0);
	uint64_t begin = clock_now();
	gfn_t next = 0;

	while (next < vm->mem.frames)
		if (step(me, &next, vm->mem.frames, STEP, &vm->mem.gather[0]))
			return 0;
	ept_sync(&vm->mem.gather[0]);
	return clock_now() - begin;
}

static uint64_t collect(struct vm *vm, uint64_t *reported)
{
	uint64_t begin = clock_now();

	*reported = ept_track_collect(ept_cpu(&vm->mem.ept, 0), 0, vm->mem.frames, bitmap,
				      &vm->mem.gather[0]);
	ept_sync(&vm->mem.gather[0]);
	return clock_now() - begin;
}

static const char *write_each(struct vm *vm, gfn_t nth)
{
	hpa_t at;

	for (gfn_t gfn = 0; gfn < vm->mem.frames; gfn += nth)
		if (ept_reach(ept_cpu(&vm->mem.ept, 0), gfn, EPT_W, &at, &vm->mem.gather[0]))
			return "a page could not be written";
	return NULL;
}

struct track_cycles {
	uint64_t split, clean, some, more, all, untrack, collapse;
	uint64_t scan_all, scan_none, sample; /* of accessed bits */
	int64_t syncs;                        /* of the recovery */
};

/* Writes each nth page and collects; cycles of the collection. */
static const char *write_and_collect(struct vm *vm, gfn_t nth, uint64_t *cycles)
{
	const char *why = write_each(vm, nth);
	uint64_t reported;

	*cycles = collect(vm, &reported);
	if (!why && reported != (vm->mem.frames + nth - 1) / nth)
		why = "what was collected is not what was written";
	return why;
}

/* One look at the accessed bits of all leaves, of which `wanted` are set. */
static const char *scan(struct vm *vm, uint64_t wanted, uint64_t *cycles)
{
	uint64_t begin = clock_now(), found = 0;
	gfn_t next = 0;

	while (next < vm->mem.frames)
		found += ept_touched(ept_cpu(&vm->mem.ept, 0), &next, vm->mem.frames, STEP,
				     &vm->mem.gather[0]);
	ept_sync(&vm->mem.gather[0]);
	*cycles = clock_now() - begin;
	return found == wanted ? NULL : "what was found accessed is not what was";
}

/* One interval of the monitor: a page of each region. */
static const char *sample(struct vm *vm, uint64_t *cycles)
{
	static struct ept_monitor monitor;
	uint64_t begin;

	if (ept_monitor_begin(&monitor, &vm->mem.ept, 0, vm->mem.frames, REGIONS, 2 * REGIONS, 1))
		return "the monitor did not begin";
	begin = clock_now();
	ept_monitor_sample(&monitor, ept_cpu(&vm->mem.ept, 0), &vm->mem.gather[0]);
	ept_sync(&vm->mem.gather[0]);
	ept_monitor_count(&monitor, &vm->mem.ept);
	*cycles = clock_now() - begin;
	return NULL;
}

static const char *measure(struct vm *vm, struct track_cycles *c)
{
	struct ept_collapse_result result;
	struct ept_stats before, after;
	const char *why;
	uint64_t none, begin;

	c->split = through(vm, ept_track_some);
	(void)collect(vm, &none); /* what was written before */
	c->clean = collect(vm, &none);
	why = none ? "a page that nobody wrote was collected" : NULL;
	if (!why)
		why = write_and_collect(vm, ONE_PCT, &c->some);
	if (!why)
		why = write_and_collect(vm, TEN_PCT, &c->more);
	if (!why)
		why = write_and_collect(vm, 1, &c->all);
	if (!why)
		why = scan(vm, vm->mem.frames, &c->scan_all);
	if (!why)
		why = scan(vm, 0, &c->scan_none);
	if (!why)
		why = sample(vm, &c->sample);
	ept_stats_sum(&vm->mem.ept, &before);
	c->untrack = through(vm, ept_untrack_some);
	begin = clock_now();
	ept_track_end(&vm->mem.ept);
	ept_collapse_range(ept_cpu(&vm->mem.ept, 0), 0, vm->mem.frames, &vm->mem.gather[0],
			   &result);
	ept_sync(&vm->mem.gather[0]);
	c->collapse = clock_now() - begin;
	ept_stats_sum(&vm->mem.ept, &after);
	c->syncs = after.syncs - before.syncs;
	if (!why && (!c->split || !c->untrack))
		why = NOT_TO_END;
	return why ? why : after.pages_4k || after.pages_2m ? "it did not collapse" : NULL;
}

/* All of memory arrives at once, in leaves as large as there are. */
static const char *fill_large(struct vm *vm)
{
	struct ept_claim claim;

	for (gfn_t gfn = 0; gfn < vm->mem.frames; gfn += level_frames(PG_LEVEL_1G)) {
		if (ept_fill(ept_cpu(&vm->mem.ept, 0), gfn, PG_LEVEL_1G, &claim))
			return "1 GiB could not be filled";
		(void)ept_publish(ept_cpu(&vm->mem.ept, 0), &claim);
	}
	return NULL;
}

const char *bench_track_job(const struct run_config *config, const struct boot_info *info)
{
	struct vm *vm = vm_create("bench", config, config->backing);
	struct track_cycles c = { 0 };
	const char *why;

	(void)info;
	if (!vm)
		return "no memory for the VM";
	machine_frames.junk = false; /* as in a release */
	why = vm->mem.frames > 64 * WORDS ? "region= is more than 1 GiB" : fill_large(vm);
	if (!why && ept_track_begin(&vm->mem.ept, EPT_TRACK_DIRTY))
		why = "tracking could not begin";
	if (!why)
		why = measure(vm, &c);
	if (!why)
		con_printf("cleave-json: {\"bench\":\"track\",\"second_stage\":\"%s\","
			   "\"split\":%llu,\"collect_none\":%llu,\"collect_1pct\":%llu,"
			   "\"collect_10pct\":%llu,\"collect_all\":%llu,\"scan_all\":%llu,"
			   "\"scan_none\":%llu,\"sample\":%llu,\"untrack\":%llu,"
			   "\"collapse\":%llu,\"syncs\":%lld}\n",
			   vendor->format->name, (unsigned long long)c.split,
			   (unsigned long long)c.clean, (unsigned long long)c.some,
			   (unsigned long long)c.more, (unsigned long long)c.all,
			   (unsigned long long)c.scan_all, (unsigned long long)c.scan_none,
			   (unsigned long long)c.sample, (unsigned long long)c.untrack,
			   (unsigned long long)c.collapse, (long long)c.syncs);
	vm_destroy(vm);
	return why;
}
