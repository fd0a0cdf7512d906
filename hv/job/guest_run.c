/* SPDX-License-Identifier: MIT */
/* Jobs that work on a running guest. See hv/job/guest_run.h. */
#include "hv/job/guest_run.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/guest_console.h"
#include "hv/base/startup.h"
#include "hv/job/guest_report.h"
#include "hv/mem/fill.h"
#include "hv/mem/guest_memory.h"
#include "hv/monitor/monitor.h"
#include "hv/vm/make.h"
#include "hv/vm/load.h"
#include "hv/vm/run.h"

/* --- its time ----------------------------------------------------------------------------- */

static bool out_of_time(const struct guest_run *run)
{
	return cycles_to_us(clock_now() - run->begun) / 1000 > run->config->timeout_ms;
}

/* Has a vCPU ended that nobody asked to finish? The others may still run. */
static const char *why_over(const struct vm *vm)
{
	TRY(vm_casualty(vm));
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		MUST(!vm->vcpu[i].wrong_count, "the guest found wrong data");
	return "the guest ended before it was asked to";
}

const char *guest_turn(struct guest_run *run)
{
	vm_wait(run->vm);
	TRY(monitor_turn());
	if (vm_any_over(run->vm))
		return why_over(run->vm);
	return out_of_time(run) ? "the job was not done in time" : NULL;
}

const char *guest_passes(struct guest_run *run, uint64_t n)
{
	for (unsigned int i = 0; i < run->vm->nvcpus; i++) {
		const uint64_t *passes = &run->vm->vcpu[i].passes;
		uint64_t until = __atomic_load_n(passes, __ATOMIC_RELAXED) + n;

		while (__atomic_load_n(passes, __ATOMIC_RELAXED) < until)
			TRY(guest_turn(run));
	}
	return NULL;
}

/* --- its memory --------------------------------------------------------------------------- */

struct ept_stats guest_stats(const struct guest_run *run)
{
	struct ept_stats stats;

	ept_stats_sum(&run->vm->mem.ept, &stats);
	return stats;
}

/* Fills all memory at the beginning: only the job makes leaves small. */
static const char *furnish(struct memory *mem)
{
	enum pg_level level = mem->ept.leaf_max;

	(void)mem_zero(mem, mem->frames);
	for (gfn_t gfn = 0; gfn < mem->frames; gfn += level_frames(level))
		MUST(!fill_page(mem, cpu_id(), gfn, level, &fill_zeros, FILL_LOAD, 0),
		     "the guest's memory could not be mapped");
	return NULL;
}

/* --- its life ----------------------------------------------------------------------------- */

static void watch(struct guest_run *run)
{
	run->watched = (struct watched){
		.config = run->config,
		.machine = run->machine,
		.phase = "running",
		.vm = run->vm,
		.begun = run->begun,
		.no_change = "this job works on the memory itself: only migrations can be changed",
		.no_pause = run->job->to_its_end ? NULL : "this job works on the running guest",
	};
	monitor_watch(&run->watched);
}

static const char *start(struct guest_run *run, const struct boot_info *info)
{
	run->vm = vm_create("guest", run->config, run->config->backing);
	MUST(run->vm, "no memory for the VM");
	pager_init(&run->vm->mem, &source_zero, PG_LEVEL_4K, 1, policy_of(POLICY_COMPLETE));
	TRY(furnish(&run->vm->mem));
	startup_mark(STARTUP_VM);
	if (run->job->to_its_end)
		TRY(vm_load_guest(run->vm, info, run->config->guest));
	else
		TRY(vm_load_payload_named(run->vm, info, run->config->guest));
	if (run->vm->platform)
		guest_console_open();
	vm_start(run->vm);
	watch(run);
	while (!run->job->to_its_end && !vm_all_ready(run->vm))
		TRY(guest_turn(run));
	return NULL;
}

static const char *call(struct guest_run *run, const char *(*step)(struct guest_run *run))
{
	return step ? step(run) : NULL;
}

static const char *work(struct guest_run *run)
{
	run->at_begin = guest_stats(run);
	TRY(call(run, run->job->begin));
	for (; run->round < run->config->rounds; run->round++)
		TRY(call(run, run->job->round));
	return call(run, run->job->end);
}

static void ask_to_finish(struct guest_run *run)
{
	atomic_store_explicit(&run->vm->asked_to_finish, true, memory_order_release);
}

/* A guest that runs to its end is asked once it has been ready for a while. */
static void ask_in_time(struct guest_run *run)
{
	uint64_t now = clock_now();

	if (!run->ready_since && vm_all_ready(run->vm)) {
		run->ready_since = now;
		exits_of(run->vm, &run->at_ready);
	}
	if (run->ready_since &&
	    cycles_to_us(now - run->ready_since) / 1000 >= run->config->after_ms)
		ask_to_finish(run);
}

static const char *finish(struct guest_run *run)
{
	if (!run->job->to_its_end)
		ask_to_finish(run);
	while (!vm_over(run->vm)) {
		vm_wait(run->vm);
		TRY(monitor_turn());
		ask_in_time(run);
		if (run->vm->platform)
			vm_rest(run->vm);
		MUST(!out_of_time(run), "the guest did not finish in time");
	}
	TRY(vm_casualty(run->vm));
	return vm_verdict(run->vm);
}

/* Leaves as a walk over the tables finds them, at the addresses where memory is now. */
static const char *check_counters(const struct guest_run *run)
{
	struct memory *mem = &run->vm->mem;
	struct ept_stats s = guest_stats(run);
	struct ept_census c;
	gfn_t where;

	TRY(ept_check(&mem->ept, &where));
	ept_census(&mem->ept, 0, mem->end, &c);
	MUST(c.kind[EPT_PRESENT][PG_LEVEL_4K] == (uint64_t)s.pages_4k &&
		     c.kind[EPT_PRESENT][PG_LEVEL_2M] == (uint64_t)s.pages_2m &&
		     c.kind[EPT_PRESENT][PG_LEVEL_1G] == (uint64_t)s.pages_1g,
	     "the leaves that are there differ from the counters");
	return NULL;
}

static const char *check(struct guest_run *run)
{
	if (run->vm->mem.ept.nx)
		(void)guest_recover_nx(&run->vm->mem);
	TRY(call(run, run->job->check));
	return check_counters(run);
}

static const char *live(struct guest_run *run, const struct boot_info *info)
{
	const char *why = start(run, info);

	if (!why)
		why = work(run);
	if (!why)
		why = finish(run);
	monitor_leave();
	if (run->vm)
		vm_stop(run->vm);
	return why ? why : check(run);
}

const char *guest_run(const struct guest_job *job, const struct run_config *config,
		      const struct boot_info *info)
{
	static struct guest_run run;

	run = (struct guest_run){
		.config = config,
		.machine = &info->config,
		.job = job,
		.begun = clock_now(),
		.verbose = info->config.verbose,
	};
	run.verdict = live(&run, info);
	if (job->give_back)
		job->give_back(&run);
	if (run.at_begin.tables) /* it came so far */
		guest_report(&run);
	if (run.vm)
		vm_destroy(run.vm);
	return run.verdict;
}
