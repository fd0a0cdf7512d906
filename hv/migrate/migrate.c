/* SPDX-License-Identifier: MIT */
/*
 * Post-copy migration. VM A runs until the configured moment and is stopped for good; its vCPUs'
 * states move to VM B, all of whose memory is absent; B runs at once. Its faults pull single pages
 * out of A's frozen memory, the background stream pulls the rest, complete ranges collapse.
 *
 * The boot CPU runs the pager and the background stream, and watches the time. Where it is the only
 * CPU it gives the vCPUs their turns in between.
 */
#include "hv/migrate/migrate.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/guest_console.h"
#include "hv/base/trace.h"
#include "hv/base/trace_stream.h"
#include "hv/mem/collapse.h"
#include "hv/mem/guest_memory.h"
#include "hv/migrate/lose.h"
#include "hv/migrate/report.h"
#include "hv/migrate/samples.h"
#include "hv/migrate/watch.h"
#include "hv/monitor/monitor.h"
#include "hv/policy/policy.h"
#include "hv/vm/make.h"
#include "hv/vm/load.h"
#include "hv/vm/run.h"
#include "mm/machine.h"
#include "mm/percpu.h"

#define RECOVER_US 10000 /* between two steps of undoing splits by executing */

/* --- time --------------------------------------------------------------------------------- */

static bool out_of_time(const struct migration *m)
{
	return cycles_to_us(clock_now() - m->begun) / 1000 > m->config->timeout_ms;
}

/* --- before ------------------------------------------------------------------------------- */

/* The destination first: it gets the largest frames before anything breaks them up. */
static const char *make_destination(struct migration *m)
{
	m->to = vm_create_zeroed(m->hop % 2 ? "A" : "B", m->config, m->config->backing);
	if (!m->to)
		return "no memory for the destination";
	m->backing = m->to->mem.ept.leaf_max;
	if (bitmap_make(&m->lost_pages, m->to->mem.frames))
		return "no memory to note what is lost";
	if (vouches_make(&m->to->vouches, m->config->work_start >> PAGE_SHIFT,
			 m->config->work >> PAGE_SHIFT))
		return "no memory for the guest's word for its pages";
	return NULL;
}

static void grow_by_zeros(struct migration *m, enum pg_level piece)
{
	pager_init(&m->from->mem, &source_zero, piece, 1, policy_of(POLICY_COMPLETE));
}

static const char *make_source(struct migration *m, const struct boot_info *info)
{
	m->from = vm_create("A", m->config, PG_LEVEL_2M);
	if (!m->from)
		return "no memory for the source";
	grow_by_zeros(m, m->config->populate);
	return vm_load_guest(m->from, info, m->config->guest);
}

/* A whole system may know nothing of us: then only time says when. */
static bool is_ready(const struct migration *m)
{
	return vm_all_ready(m->from) || (m->from->platform && m->config->trigger == TRIGGER_TIME);
}

/* A whole system that says it is ready asks for it. */
static bool wants_migration(const struct vm *vm)
{
	return vm->platform || atomic_load_explicit(&vm->wants_migration, memory_order_acquire);
}

static bool triggered(const struct migration *m, uint64_t *ready_since)
{
	if (m->hop) /* it goes on for a while where it has arrived */
		return cycles_to_us(clock_now() - m->begun) / 1000 >= m->config->after_ms;
	if (!is_ready(m))
		return false;
	if (m->asked_for)
		return true;
	if (!*ready_since)
		*ready_since = clock_now();
	switch (m->config->trigger) {
	case TRIGGER_GUEST:
		return wants_migration(m->from);
	case TRIGGER_TIME:
		return cycles_to_us(clock_now() - *ready_since) / 1000 >= m->config->after_ms;
	default:
		return true;
	}
}

/* One turn of A. NULL, or what went wrong. */
static const char *turn_source(void *ctx)
{
	struct migration *m = ctx;
	const char *why;

	vm_wait(m->from);
	why = monitor_turn();
	if (why)
		return why;
	if (vm_any_over(m->from))
		return "the guest ended before the migration began";
	return out_of_time(m) ? "the guest was not ready in time" : NULL;
}

/* Runs A until it is migrated: until the trigger, and through the rounds of pre-copy. */
static const char *run_source(struct migration *m)
{
	uint64_t ready_since = 0;
	const char *why = NULL;

	if (m->from->platform && !m->hop)
		guest_console_open();
	vm_start(m->from);
	watch_source(m);
	while (!why && !triggered(m, &ready_since))
		why = turn_source(m);
	if (!why)
		why = precopy_run(&m->precopy, m->from, m->to, m->config, turn_source, m);
	m->stopped = clock_now();
	trace(TRACE_PHASE, TRACE_STOPPED, m->from->id);
	watch_end();
	vm_stop(m->from);
	precopy_stop(&m->precopy);
	/* Checks at the last moment: a vCPU that is done, halted or dead cannot be moved. */
	if (!why && vm_any_over(m->from))
		why = "the guest ended before the migration began";
	if (why && vm_casualty(m->from))
		why = vm_casualty(m->from);
	return why;
}

/* --- the switch ---------------------------------------------------------------------------- */

static void move_vcpu(const struct vcpu *from, struct vcpu *to)
{
	to->state = from->state;
	/* One that waits for a page asks again. */
	to->run = from->run == VCPU_WAITING ? VCPU_RUNNING : from->run;
	to->passes = from->passes;
	to->chain = from->chain;
	to->wrong_count = from->wrong_count;
	atomic_store_explicit(&to->ready, true, memory_order_relaxed);
	if (to->system)
		vcpu_move_asks(from, to);
}

static void move_system(const struct vm *from, struct vm *to)
{
	if (!from->platform)
		return;
	vm_make_system(to);
	platform_move(from->platform, to->platform);
}

/* Frames that arrive at once: no more than divide the region evenly. */
static uint64_t arrive_frames(const struct migration *m)
{
	uint64_t frames = m->config->arrive >> PAGE_SHIFT;

	while (m->to->mem.frames % frames)
		frames /= 512;
	return MAX(frames, UINT64_C(1));
}

static void set_up_source(struct migration *m)
{
	struct source_pace pace = { .latency = us_to_cycles(m->config->latency_us),
				    .arrive = arrive_frames(m) };

	m->arrive = pace.arrive;
	if (m->config->stream != CONFIG_UNLIMITED)
		pace.per_page = us_to_cycles(1000) / m->config->stream;
	source_vm_init(&m->source, &m->from->mem.ept, m->from->mem.frames, &pace);
	if (m->precopy.staged.word)
		m->source.staged = &m->precopy.staged;
}

/* NULL, or why pages could not be lost on purpose. */
static const char *switch_over(struct migration *m)
{
	const char *why;

	set_up_source(m);
	pager_init(&m->to->mem, &m->source.source, PG_LEVEL_4K, m->arrive,
		   policy_of(m->config->policy));
	m->to->mem.pager.policy->begin(&m->to->mem, m->config);
	stream_init(&m->stream, &m->to->mem, m->config);
	move_system(m->from, m->to);
	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		move_vcpu(&m->from->vcpu[i], &m->to->vcpu[i]);
	m->at_switch = granularity_of(&m->to->mem.ept);
	m->worst = m->at_switch;
	m->switched = clock_now();
	trace(TRACE_SWITCH, m->from->id, m->to->id);
	vm_start(m->to);
	why = lose_pages(&m->to->mem, m->config, m->config->lose_late, &m->lost_pages);
	return why;
}

/* --- after -------------------------------------------------------------------------------- */

static const char *check_alive(const struct migration *m)
{
	const char *stop = monitor_turn();

	if (stop)
		return stop;
	if (vm_any_over(m->to)) {
		const char *why = vm_casualty(m->to);

		return why ? why : "the guest ended before the migration did";
	}
	return out_of_time(m) ? "the pages did not all arrive in time" : NULL;
}

/* Nobody waits: takes a step through the splits that executing has made. What is still executed is
 * split again, so the steps are rare. */
static void recover_some(struct migration *m)
{
	uint64_t now = clock_now();

	if (!m->to->mem.ept.nx || m->to->mem.pager.policy->keeps_small || now < m->recover_due)
		return;
	m->recovered += guest_recover_nx_some(&m->to->mem, &m->recover_next);
	m->recover_due = now + us_to_cycles(RECOVER_US);
}

/* Brings pages in and collapses, while there is something to do. If it shares its CPU with the
 * vCPUs, it goes on for as long as a turn of theirs lasts. */
static void keep_house(struct migration *m)
{
	uint64_t until = ncpus == 1 ? clock_now() + us_to_cycles(SLICE_US) : 0;
	const struct policy *policy = m->to->mem.pager.policy;
	bool busy;

	do {
		busy = stream_step(&m->stream, cpu_id()) ||
		       (policy->step && policy->step(&m->to->mem, cpu_id()));
	} while (busy && clock_now() < until);
	if (!busy)
		recover_some(m);
}

static const char *pull_pages(struct migration *m)
{
	const char *why = NULL;

	while (!why && pager_settled(&m->to->mem) < m->to->mem.frames) {
		keep_house(m);
		vm_wait(m->to);
		samples_turn(m);
		report_progress(m, false);
		why = check_alive(m);
	}
	if (!why) {
		m->arrived = clock_now();
		trace(TRACE_PHASE, TRACE_ARRIVED, m->to->id);
	}
	report_progress(m, true);
	return why;
}

/* Answers that are still under way are duplicates by now: takes and drops them. */
static const char *drain(struct migration *m)
{
	watch_phase(m, "draining");
	while (!stream_idle(&m->stream)) {
		const char *stop = monitor_turn();

		if (stop)
			return stop;
		(void)stream_step(&m->stream, cpu_id());
		vm_wait(m->to);
		samples_turn(m);
		if (out_of_time(m))
			return "requests were never answered";
	}
	return NULL;
}

static bool is_last(const struct migration *m)
{
	return m->hop + 1 == m->config->hops;
}

/* Does what the policy put off until all pages are here. The running guest may complete ranges
 * again and again, so nobody waits for an end of it. */
static const char *finish_guest(struct migration *m)
{
	bool more = m->to->mem.pager.policy->finish(&m->to->mem, cpu_id());

	watch_phase(m, "finishing");
	atomic_store_explicit(&m->to->asked_to_finish, true, memory_order_release);
	while (!vm_over(m->to)) {
		const char *stop = monitor_turn();

		if (stop)
			return stop;
		vm_wait(m->to);
		samples_turn(m);
		more = more && m->to->mem.pager.policy->finish(&m->to->mem, cpu_id());
		if (out_of_time(m))
			return "the guest did not finish in time";
	}
	return vm_casualty(m->to);
}

static const char *finish_collapse(struct migration *m)
{
	const struct policy *policy = m->to->mem.pager.policy;

	while (policy->finish(&m->to->mem, cpu_id()))
		if (out_of_time(m))
			return "the collapses did not all come in time";
	return NULL;
}

/* The guest has stopped: collapses also what its last touches completed. */
static const char *collapse_late(struct migration *m)
{
	const struct policy *policy = m->to->mem.pager.policy;
	const char *why = finish_collapse(m);

	for (unsigned int i = 0; i < MAX_CPUS; i++)
		ept_sync(&m->to->mem.gather[i]);
	if (why || policy->keeps_small)
		return why;
	/* Nobody executes any more: undoes the splits that executing has made. */
	if (m->to->mem.ept.nx)
		(void)guest_recover_nx(&m->to->mem);
	m->healed = mem_collapse_all(&m->to->mem, cpu_id());
	return NULL;
}

static const char *run_destination(struct migration *m)
{
	const char *why;

	watch_destination(m);
	why = pull_pages(m);

	if (!why)
		why = drain(m);
	if (!why && is_last(m))
		why = finish_guest(m);
	watch_end();
	vm_stop(m->to);
	if (!why)
		why = collapse_late(m);
	if (trace_streams)
		samples_take(m);
	m->finished = clock_now();
	trace(TRACE_PHASE, TRACE_ENDED, m->to->id);
	return why;
}

/* --- the whole ----------------------------------------------------------------------------- */

static void collect(struct migration *m)
{
	m->end = granularity_of(&m->to->mem.ept);
	ept_stats_sum(&m->to->mem.ept, &m->stats);
	pager_sum(&m->to->mem, &m->pager);
	m->flushes = tlb_count(&m->to->mem.tlb);
	m->tables_peak = machine_tables.peak - m->tables_before;
}

static const char *move(struct migration *m)
{
	const char *why = lose_pages(&m->from->mem, m->config, m->config->lose, &m->lost_pages);

	precopy_settle(&m->precopy);
	m->tables_before = machine_tables.in_use - (uint64_t)granularity_of(&m->to->mem.ept).tables;
	table_cache_mark(&machine_tables);
	if (!why)
		why = switch_over(m);
	if (!why)
		why = run_destination(m);
	else if (m->switched)
		vm_stop(m->to);
	collect(m);
	if (!why)
		why = migrate_verify(m);
	m->verdict = why;
	trace_stream_all();
	report(m);
	return why;
}

static const char *hop(struct migration *m)
{
	const char *why = run_source(m);

	return why ? why : move(m);
}

static void unmake(struct vm *vm)
{
	if (!vm)
		return;
	vouches_free(&vm->vouches);
	vm_destroy(vm);
}

static void end_hop(struct migration *m)
{
	precopy_end(&m->precopy);
	bitmap_free(&m->lost_pages);
	unmake(m->from);
	m->from = NULL;
}

/* Where it has arrived, the next migration begins. */
static const char *begin_next(struct migration *m)
{
	*m = (struct migration){
		.config = m->config,
		.machine = m->machine,
		.hop = m->hop + 1,
		.from = m->to,
		.begun = clock_now(),
		.verbose = m->verbose,
		.hw_dirty = m->hw_dirty,
	};
	/* Its former source is gone; all its pages are here but those that it has discarded. */
	grow_by_zeros(m, PG_LEVEL_4K);
	return make_destination(m);
}

const char *migrate(struct migration *m, const struct run_config *config,
		    const struct boot_info *info)
{
	const char *why;

	*m = (struct migration){
		.config = config,
		.machine = &info->config,
		.begun = clock_now(),
		.verbose = info->config.verbose,
		.hw_dirty = vendor->has_dirty(),
	};
	why = make_destination(m);
	if (!why)
		why = make_source(m, info);
	if (!why)
		why = hop(m);
	while (!why && !is_last(m)) {
		end_hop(m);
		why = begin_next(m);
		if (!why)
			why = hop(m);
	}
	end_hop(m);
	unmake(m->to);
	return why;
}
