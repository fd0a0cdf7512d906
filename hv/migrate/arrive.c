/* SPDX-License-Identifier: MIT */
/* The destination's half. See hv/migrate/arrive.h. */
#include "hv/migrate/arrive.h"

#include "hv/base/clock.h"
#include "hv/base/trace.h"
#include "hv/base/trace_stream.h"
#include "hv/mem/collapse.h"
#include "hv/mem/guest_memory.h"
#include "hv/migrate/end.h"
#include "hv/migrate/report.h"
#include "hv/migrate/samples.h"
#include "hv/migrate/touched.h"
#include "hv/migrate/watch.h"
#include "hv/monitor/monitor.h"
#include "hv/policy/policy.h"
#include "hv/vm/make.h"
#include "hv/vm/run.h"
#include "mm/machine.h"
#include "mm/percpu.h"

#define RECOVER_US  10000 /* between two steps of undoing splits by executing */
#define ZERO_FRAMES 16    /* that are zeroed while nobody looks what else is to be done */
#define ZERO_US     (4 * SLICE_US)

const char *arrive_make(struct migration *m)
{
	m->to = vm_create(m->hop % 2 ? "A" : "B", m->config, m->config->backing);
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

/* The only CPU does this for longer than a turn of the source's vCPUs lasts: what these do until
 * all is zeroed only delays the migration. */
bool arrive_zero(struct migration *m)
{
	uint64_t until = ncpus == 1 ? clock_now() + us_to_cycles(ZERO_US) : 0;
	bool all;

	do {
		all = mem_zero(&m->to->mem, ZERO_FRAMES);
	} while (!all && clock_now() < until);
	return all;
}

static const char *check_alive(const struct migration *m)
{
	const char *stop = monitor_turn();

	if (stop)
		return stop;
	if (vm_any_over(m->to)) {
		const char *why = vm_casualty(m->to);

		return why ? why : "the guest ended before the migration did";
	}
	return migrate_out_of_time(m) ? "the pages did not all arrive in time" : NULL;
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
	if (m->link && ncpus > 1)
		end_rest(busy);
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

/* --- on demand ---------------------------------------------------------------------------------
 */

/* After `after` the guest is to end: what it has not touched by then never comes. */
static void ask_to_finish(struct migration *m)
{
	if (cycles_to_us(clock_now() - m->switched) / 1000 < m->config->after_ms ||
	    atomic_load_explicit(&m->to->asked_to_finish, memory_order_relaxed))
		return;
	watch_phase(m, "finishing");
	atomic_store_explicit(&m->to->asked_to_finish, true, memory_order_release);
}

static const char *run_on_demand(struct migration *m)
{
	while (!vm_over(m->to)) {
		const char *stop = monitor_turn();

		if (stop)
			return stop;
		keep_house(m);
		vm_wait(m->to);
		samples_turn(m);
		report_progress(m, false);
		ask_to_finish(m);
		if (migrate_out_of_time(m))
			return "the guest did not finish in time";
	}
	return vm_casualty(m->to);
}

/* --- the end of it -----------------------------------------------------------------------------
 */

/* Takes and drops what is still under way. True: the source knows that nothing is owed. */
static bool drained(struct migration *m)
{
	struct page_source *source = m->to->mem.pager.source;

	if (!stream_idle(&m->stream)) {
		(void)stream_step(&m->stream, cpu_id());
		return false;
	}
	return !source->ops->over || source->ops->over(source);
}

/* Answers that are still under way are duplicates by now. */
static const char *drain(struct migration *m)
{
	watch_phase(m, "draining");
	while (!drained(m)) {
		const char *stop = monitor_turn();

		if (stop)
			return stop;
		vm_wait(m->to);
		samples_turn(m);
		if (migrate_out_of_time(m))
			return "requests were never answered";
	}
	return NULL;
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
		if (migrate_out_of_time(m))
			return "the guest did not finish in time";
	}
	return vm_casualty(m->to);
}

static const char *finish_collapse(struct migration *m)
{
	const struct policy *policy = m->to->mem.pager.policy;

	while (policy->finish(&m->to->mem, cpu_id()))
		if (migrate_out_of_time(m))
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

const char *arrive_run(struct migration *m)
{
	bool on_demand = order_of(m->config->order)->on_demand;
	const char *why;

	watch_destination(m);
	why = on_demand ? run_on_demand(m) : pull_pages(m);
	if (!why)
		why = drain(m);
	if (!why && !on_demand && migrate_is_last(m))
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

static void collect(struct migration *m)
{
	m->end = granularity_of(&m->to->mem.ept);
	huge_note(&m->huge, (uint64_t)(m->end.pages_2m + 512 * m->end.pages_1g));
	ept_stats_sum(&m->to->mem.ept, &m->stats);
	pager_sum(&m->to->mem, &m->pager);
	m->flushes = tlb_count(&m->to->mem.tlb);
	m->tables_peak = machine_tables.peak - m->tables_before;
}

/* --- the ends of it ------------------------------------------------------------------------ */

void arrive_mark(struct migration *m)
{
	m->tables_before = machine_tables.in_use - (uint64_t)granularity_of(&m->to->mem.ept).tables;
	table_cache_mark(&machine_tables);
}

void arrive_prepare(struct migration *m, struct page_source *source)
{
	pager_init(&m->to->mem, source, PG_LEVEL_4K, m->arrive, policy_of(m->config->policy));
	m->to->mem.pager.policy->begin(&m->to->mem, m->config);
	stream_init(&m->stream, &m->to->mem, m->config, &m->replay);
	touched_note(m);
}

void arrive_begin(struct migration *m, unsigned int from)
{
	m->at_switch = granularity_of(&m->to->mem.ept);
	huge_begin(&m->huge, m->to->mem.frames);
	m->worst = m->at_switch;
	m->switched = clock_now();
	trace(TRACE_SWITCH, from, m->to->id);
	vm_start(m->to);
}

const char *arrive_judge(struct migration *m, const char *why)
{
	collect(m);
	if (!why)
		why = migrate_verify(m);
	m->verdict = why;
	trace_stream_all();
	touched_print(m);
	report(m);
	return why;
}
