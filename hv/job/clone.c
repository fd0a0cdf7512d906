/* SPDX-License-Identifier: MIT */
/*
 * job=clone: a second VM with the memory of the running guest. It costs table pages, not memory.
 *
 * The first half of the rounds hand the guest over: the clone shares the memory, goes on where the
 * guest was stopped, and takes its place. The other rounds fork it: both go on, copy-on-write. The
 * clone runs to its end there; the guest does so after the last round.
 * Each verifies its own writes, so a write of the other one shows.
 */
#include "hv/vm/clone.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/job/guest_leaves.h"
#include "hv/job/list.h"
#include "hv/vm/make.h"
#include "hv/vm/run.h"
#include "mm/percpu.h"

#define PASSES 1 /* of the guest beside its clone */

static struct vm *other; /* the clone; or the VM whose place it has taken */
static uint64_t singles; /* 4 KiB frames of its own that the guest had when it was cloned */

/* One moment of standing still. Both have the same state and memory then. */
static const char *make(struct guest_run *run, enum ept_share share)
{
	uint64_t began = clock_now();

	vm_stop(run->vm);
	other = vm_clone(run->vm, "clone", share);
	MUST(other, "no clone");
	singles = atomic_load(&run->vm->mem.singles);
	guest_figure(run, "stopped_us", "us for which the guest stood still to be cloned",
		     cycles_to_us(clock_now() - began));
	return NULL;
}

static void end_other(void)
{
	if (other) {
		vm_stop(other);
		vm_destroy(other);
	}
	other = NULL;
}

/* --- what both map ------------------------------------------------------------------------ */

/* Counts the pages that both map on one frame; with EPT_PRIVATE neither may write to these. Call it
 * while nobody runs. */
static const char *compare(const struct guest_run *run, enum ept_share share, uint64_t *same)
{
	const struct ept *a = &run->vm->mem.ept, *b = &other->mem.ept;

	*same = 0;
	for (gfn_t gfn = 0; gfn < run->vm->mem.frames; gfn++) {
		struct ept_state s = ept_lookup(a, gfn), t = ept_lookup(b, gfn);

		if (s.kind != EPT_PRESENT || t.kind != EPT_PRESENT ||
		    state_frame(&s, gfn).v != state_frame(&t, gfn).v)
			continue;
		++*same;
		MUST(share == EPT_SHARED || s.withheld & t.withheld & EPT_W,
		     "a frame that both have can be written without a copy");
	}
	return NULL;
}

/* --- handed over -------------------------------------------------------------------------- */

/* The clone goes on where the guest was, on its CPUs. */
static void change_places(struct guest_run *run)
{
	struct vm *was = run->vm;

	for (unsigned int i = 0; i < was->nvcpus; i++)
		vm_place_vcpu(other, i, was->vcpu[i].cpu);
	run->vm = other;
	other = was;
}

static const char *hand_over(struct guest_run *run)
{
	uint64_t same;

	TRY(make(run, EPT_SHARED));
	change_places(run);
	vm_start(run->vm);
	TRY(guest_passes(run, PASSES));
	vm_stop(run->vm);
	TRY(compare(run, EPT_SHARED, &same));
	MUST(same == run->vm->mem.frames, "memory that is shared was copied");
	end_other();
	vm_start(run->vm);
	guest_figure(run, "handed_over", "times that a clone took the guest's place", 1);
	return NULL;
}

/* --- forked ------------------------------------------------------------------------------- */

static const char *turn_both(struct guest_run *run)
{
	(void)vm_turn(other);
	return guest_turn(run);
}

/* Passes of the slowest vCPU of both. */
static uint64_t passes(const struct guest_run *run)
{
	uint64_t n = UINT64_MAX;

	for (unsigned int i = 0; i < other->nvcpus; i++)
		n = MIN(n, MIN(__atomic_load_n(&run->vm->vcpu[i].passes, __ATOMIC_RELAXED),
			       __atomic_load_n(&other->vcpu[i].passes, __ATOMIC_RELAXED)));
	return n;
}

static const char *run_both(struct guest_run *run)
{
	uint64_t until = passes(run) + PASSES;

	vm_start(run->vm);
	vm_start(other);
	while (passes(run) < until && !atomic_load(&other->over))
		TRY(turn_both(run));
	atomic_store_explicit(&other->asked_to_finish, true, memory_order_release);
	while (!vm_over(other))
		TRY(turn_both(run));
	vm_stop(other);
	TRY(vm_casualty(other));
	return vm_verdict(other);
}

static const char *check_fork(struct guest_run *run)
{
	struct ept_stats stage;
	struct pager_stats s;
	uint64_t same;
	gfn_t where;

	TRY(ept_check(&other->mem.ept, &where));
	TRY(compare(run, EPT_PRIVATE, &same));
	ept_stats_sum(&other->mem.ept, &stage);
	pager_sum(&other->mem, &s);
	MUST(atomic_load(&other->mem.singles) <= singles + s.copied,
	     "the clone has more frames of its own than it has copied pages");
	guest_figure(run, "same", "pages that both still had on one frame at its end", same);
	guest_figure(run, "copied", "pages that the clones copied to write to them", s.copied);
	guest_figure(run, "clone_tables", "table pages of the clones, at their ends",
		     (uint64_t)stage.tables);
	return NULL;
}

static const char *fork(struct guest_run *run)
{
	const char *why;

	TRY(make(run, EPT_PRIVATE));
	TRY(run_both(run));
	vm_stop(run->vm);
	why = check_fork(run);
	end_other();
	vm_start(run->vm);
	guest_figure(run, "forked", "clones that ran beside the guest to their ends", 1);
	return why;
}

static const char *one_round(struct guest_run *run)
{
	return run->round < run->config->rounds / 2 ? hand_over(run) : fork(run);
}

/* Makes large leaves of the copied pages; with nx=on, executed ones stay small. */
static const char *end(struct guest_run *run)
{
	struct memory *mem = &run->vm->mem;
	struct pager_stats s;

	pager_sum(mem, &s);
	guest_figure(run, "guest_copied", "pages that the guest copied to write to them", s.copied);
	guest_figure(run, "reused", "pages that were its own again, and were kept", s.reused);
	return mem->ept.nx ? NULL : guest_together(run, 0, mem->frames, mem->ept.leaf_max);
}

static const char *check(struct guest_run *run)
{
	const struct memory *mem = &run->vm->mem;

	return mem->ept.nx ? NULL : guest_all_leaves(run, 0, mem->frames, mem->ept.leaf_max);
}

static void give_back(struct guest_run *run)
{
	(void)run;
	end_other();
}

const char *clone_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "clone",
		.round = one_round,
		.end = end,
		.check = check,
		.give_back = give_back,
	};

	return guest_run(&job, config, info);
}
