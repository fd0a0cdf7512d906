/* SPDX-License-Identifier: MIT */
/*
 * job=log: the dirty log of a running guest, as it is before a live migration.
 *
 * Its check is that of a pre-copy. Each page has a fingerprint as of the last collection that
 * reported it. At the end the guest stands still for a last collection: then each page's contents
 * fit its fingerprint, or a write was missed.
 */
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/job/guest_leaves.h"
#include "hv/job/list.h"
#include "hv/mem/bitmap.h"
#include "hv/vm/dirty_log.h"
#include "hv/vm/run.h"
#include "mm/err.h"

#define BUDGET 4096 /* entries that are marked between two turns of the guest */

static struct {
	struct dirty_log log;
	bool logging;
	struct bitmap dirty;  /* of one collection */
	struct bitmap prints; /* word n: page n's fingerprint */
	struct ept_collapse_result collapsed;
} the;

static uint64_t print_of(const struct guest_run *run, gfn_t gfn)
{
	const uint64_t *page = mem_page(&run->vm->mem, gfn);
	uint64_t print = 0;

	for (unsigned int i = 0; page && i < PAGE_SIZE / sizeof(*page); i++)
		print = (print + page[i]) * UINT64_C(0xd6e8feb86659fd93);
	return print; /* of zeros: 0, as memory began */
}

/* --- the log ------------------------------------------------------------------------------ */

static const char *split_ahead(struct guest_run *run)
{
	uint64_t begin = clock_now();
	int done;

	while (!(done = dirty_step(&the.log, BUDGET)))
		TRY(guest_turn(run));
	MUST(done > 0, "no table pages for the dirty log");
	guest_figure(run, "ahead_us", "us to mark each page, and split ahead",
		     cycles_to_us(clock_now() - begin));
	guest_figure(run, "ahead_tables", "table pages that it took",
		     (uint64_t)(guest_stats(run).tables - run->at_begin.tables));
	return NULL;
}

static const char *begin(struct guest_run *run)
{
	uint64_t frames = run->vm->mem.frames;
	int err;

	MUST(!bitmap_make(&the.dirty, frames) && !bitmap_make(&the.prints, frames * 64),
	     "no memory to note what is dirty: make region= smaller");
	err = dirty_begin(&the.log, run->vm, dirty_how_of(run->config->log));
	MUST(err != -ENODEV, "this CPU has no such dirty log: use log=auto");
	MUST(!err, "no memory for the dirty log");
	the.logging = true;
	return split_ahead(run);
}

/* Collects what was written since the last time, as a migration does. */
static const char *collect(struct guest_run *run, uint64_t *n)
{
	uint64_t begin = clock_now();

	__builtin_memset(the.dirty.word, 0, (the.dirty.frames + 63) / 64 * sizeof(uint64_t));
	*n = dirty_collect(&the.log, the.dirty.word);
	guest_figure(run, "collect_us", "us in collections", cycles_to_us(clock_now() - begin));
	guest_figure(run, "looked", "entries that they looked at", the.log.looked);
	MUST(bitmap_count(&the.dirty) == *n, "pages are counted that are not reported, or twice");
	for (gfn_t gfn = bitmap_next(&the.dirty, 0); gfn < the.dirty.frames;
	     gfn = bitmap_next(&the.dirty, gfn + 1))
		the.prints.word[gfn] = print_of(run, gfn);
	return NULL;
}

static const char *one_round(struct guest_run *run)
{
	uint64_t n;

	TRY(guest_passes(run, 1));
	TRY(collect(run, &n));
	guest_figure(run, "dirty", "pages dirty, in all collections", n);
	if (run->verbose)
		con_printf("cleave: round %u: %llu pages dirty, noted by %s, %llu entries looked "
			   "at\n",
			   run->round + 1, (unsigned long long)n, dirty_how_name(the.log.how),
			   (unsigned long long)the.log.looked);
	return NULL;
}

/* --- the end ------------------------------------------------------------------------------ */

static const char *compare(const struct guest_run *run)
{
	for (gfn_t gfn = 0; gfn < run->vm->mem.frames; gfn++) {
		if (the.prints.word[gfn] == print_of(run, gfn))
			continue;
		con_printf("cleave: gpa 0x%llx has changed since it was last reported\n",
			   (unsigned long long)gfn_to_gpa(gfn).v);
		return "a write was missed";
	}
	return NULL;
}

/* The guest stands still for the last collection, and runs while its leaves become large. */
static const char *end(struct guest_run *run)
{
	const char *why;
	uint64_t n;

	TRY(guest_passes(run, 1));
	vm_stop(run->vm);
	why = collect(run, &n);
	if (!why)
		why = compare(run);
	guest_figure(run, "dirty_at_stop", "pages dirty when the guest stopped", n);
	vm_start(run->vm);
	TRY(why);
	n = clock_now();
	the.logging = false;
	dirty_end(&the.log, &the.collapsed);
	guest_figure(run, "recover_us", "us to take the marks away, and collapse",
		     cycles_to_us(clock_now() - n));
	return guest_passes(run, 1);
}

static const char *check(struct guest_run *run)
{
	const struct memory *mem = &run->vm->mem;
	struct ept_stats s = guest_stats(run);

	TRY(guest_all_leaves(run, 0, mem->frames, mem->ept.leaf_max));
	MUST(mem->ept.nx || s.tables == run->at_begin.tables,
	     "there are more tables than before the log");
	return NULL;
}

static void give_back(struct guest_run *run)
{
	(void)run;
	if (the.logging)
		dirty_end(&the.log, NULL);
	bitmap_free(&the.dirty);
	bitmap_free(&the.prints);
	__builtin_memset(&the, 0, sizeof(the));
}

const char *log_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "log",
		.begin = begin,
		.round = one_round,
		.end = end,
		.check = check,
		.give_back = give_back,
	};

	return guest_run(&job, config, info);
}
