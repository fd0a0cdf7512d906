/* SPDX-License-Identifier: MIT */
/*
 * Post-copy migration. VM A runs until the configured moment and is stopped for good; its vCPUs'
 * state moves to VM B, all of whose memory is absent; B runs at once. Its faults pull single
 * pages out of A's frozen memory, the background stream pulls the rest, complete ranges collapse.
 *
 * The boot CPU keeps house: it polls the source, feeds the stream, watches the time. Where it is
 * the only CPU it gives the vCPUs their turns in between.
 */
#include "hv/migrate/migrate.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/mem/collapse.h"
#include "hv/mem/guest_memory.h"
#include "hv/policy/policy.h"
#include "hv/vm/make.h"
#include "hv/vm/payload.h"
#include "hv/vm/run.h"
#include "hv/base/panic.h"
#include "hv/base/trace.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* --- time --------------------------------------------------------------------------------- */

static bool out_of_time(const struct migration *m)
{
	return cycles_to_us(clock_now() - m->begun) / 1000 > m->config->timeout_ms;
}

/* --- before ------------------------------------------------------------------------------- */

static const char *prepare(struct migration *m, const struct boot_info *info)
{
	/* The destination first: it wants the largest frames, before anything breaks them up. */
	m->to = vm_create("B", m->config, m->config->backing);
	if (!m->to)
		return "no memory for the destination";
	m->backing = m->to->mem.ept.leaf_max;
	m->from = vm_create("A", m->config, PG_LEVEL_2M);
	if (!m->from)
		return "no memory for the source";
	pager_init(&m->from->mem, &source_zero, m->config->populate, policy_of(POLICY_COMPLETE));
	return vm_load_payload_named(m->from, info, m->config->guest);
}

static bool triggered(const struct migration *m, uint64_t *ready_since)
{
	if (!vm_all_ready(m->from))
		return false;
	if (!*ready_since)
		*ready_since = clock_now();
	switch (m->config->trigger) {
	case TRIGGER_GUEST:
		return atomic_load_explicit(&m->from->wants_migration, memory_order_acquire);
	case TRIGGER_TIME:
		return cycles_to_us(clock_now() - *ready_since) / 1000 >= m->config->after_ms;
	default:
		return true;
	}
}

/* Runs A until it is to be migrated. */
static const char *run_source(struct migration *m)
{
	uint64_t ready_since = 0;
	const char *why = NULL;

	vm_start(m->from);
	while (!why && !triggered(m, &ready_since)) {
		vm_wait(m->from);
		if (atomic_load_explicit(&m->from->over, memory_order_acquire))
			why = "the guest ended before the migration began";
		else if (out_of_time(m))
			why = "the guest was not ready in time";
	}
	m->stopped = clock_now();
	vm_stop(m->from);
	/* The last moment counts: a vCPU that is over with cannot be moved. */
	if (!why && atomic_load_explicit(&m->from->over, memory_order_acquire))
		why = "the guest ended before the migration began";
	if (why && vm_casualty(m->from))
		why = vm_casualty(m->from);
	return why;
}

/* --- the switch ---------------------------------------------------------------------------- */

static void move_vcpu(const struct vcpu *from, struct vcpu *to)
{
	to->state = from->state;
	to->run = VCPU_RUNNING;
	to->passes = from->passes;
	to->chain = from->chain;
	to->wrong_count = from->wrong_count;
	atomic_store_explicit(&to->ready, true, memory_order_relaxed);
}

static void switch_over(struct migration *m)
{
	uint64_t latency = us_to_cycles(m->config->latency_us);

	source_vm_init(&m->source, &m->from->mem.ept, m->from->mem.frames, latency);
	pager_init(&m->to->mem, &m->source.source, PG_LEVEL_4K, policy_of(m->config->policy));
	m->to->mem.pager.policy->begin(&m->to->mem, m->config);
	stream_init(&m->stream, &m->to->mem, m->config);
	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		move_vcpu(&m->from->vcpu[i], &m->to->vcpu[i]);
	m->at_switch = granularity_of(&m->to->mem.ept);
	m->worst = m->at_switch;
	trace(TRACE_SWITCH, m->from->id, m->to->id);
	vm_start(m->to);
}

/* --- after -------------------------------------------------------------------------------- */

static const char *check_alive(const struct migration *m)
{
	if (atomic_load_explicit(&m->to->over, memory_order_acquire)) {
		const char *why = vm_casualty(m->to);

		return why ? why : "the guest ended before the migration did";
	}
	return out_of_time(m) ? "the pages did not all arrive in time" : NULL;
}

/* Brings pages in and collapses, as far as there is something to do. Where it shares its CPU with
 * the vCPUs it goes on for as long as a turn of theirs lasts. */
static void keep_house(struct migration *m)
{
	uint64_t until = ncpus == 1 ? clock_now() + us_to_cycles(SLICE_US) : 0;
	const struct policy *policy = m->to->mem.pager.policy;
	bool busy;

	do {
		busy = stream_step(&m->stream, cpu_id()) ||
		       (policy->step && policy->step(&m->to->mem, cpu_id()));
	} while (busy && clock_now() < until);
}

static const char *pull_pages(struct migration *m)
{
	const char *why = NULL;

	m->switched = m->stopped;
	while (!why && pager_settled(&m->to->mem) < m->to->mem.frames) {
		keep_house(m);
		vm_wait(m->to);
		report_progress(m, false);
		why = check_alive(m);
	}
	m->arrived = clock_now();
	report_progress(m, true);
	return why;
}

/* What was sent and is still to come is a duplicate by now: let it come, and be dropped. */
static const char *drain(struct migration *m)
{
	while (!stream_idle(&m->stream)) {
		(void)stream_step(&m->stream, cpu_id());
		vm_wait(m->to);
		if (out_of_time(m))
			return "requests were never answered";
	}
	return NULL;
}

/* What the policy put off until all pages are here. */
static const char *finish_collapse(struct migration *m)
{
	const struct policy *policy = m->to->mem.pager.policy;

	while (policy->finish(&m->to->mem, cpu_id())) {
		vm_wait(m->to);
		if (out_of_time(m))
			return "the collapses did not all come in time";
	}
	return NULL;
}

static const char *finish_guest(struct migration *m)
{
	atomic_store_explicit(&m->to->asked_to_finish, true, memory_order_release);
	while (!vm_over(m->to)) {
		vm_wait(m->to);
		if (out_of_time(m))
			return "the guest did not finish in time";
	}
	return vm_casualty(m->to);
}

static const char *run_destination(struct migration *m)
{
	const char *why = pull_pages(m);

	if (!why)
		why = drain(m);
	if (!why)
		why = finish_collapse(m);
	if (!why)
		why = finish_guest(m);
	vm_stop(m->to);
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		ept_sync(&m->to->mem.gather[i]);
	/* Nobody executes any more: what is small for that reason alone becomes large again. */
	if (m->to->mem.ept.nx && m->config->policy != POLICY_NEVER) {
		(void)guest_recover_nx(&m->to->mem);
		/* What became complete while a part of it was small for that reason was refused. */
		mem_collapse_all(&m->to->mem, cpu_id());
	}
	m->finished = clock_now();
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

const char *migrate(struct migration *m, const struct run_config *config,
		    const struct boot_info *info)
{
	const char *why;

	*m = (struct migration){
		.config = config,
		.begun = clock_now(),
		.verbose = info->config.verbose,
		.hw_dirty = vendor->has_dirty(),
	};
	why = prepare(m, info);
	if (!why)
		why = run_source(m);
	if (!why) {
		m->tables_before =
			machine_tables.in_use - (uint64_t)granularity_of(&m->to->mem.ept).tables;
		table_cache_mark(&machine_tables);
		switch_over(m);
		why = run_destination(m);
		collect(m);
		if (!why)
			why = migrate_verify(m);
		m->verdict = why;
		report(m);
	}
	if (m->from)
		vm_destroy(m->from);
	if (m->to)
		vm_destroy(m->to);
	return why;
}

const char *migrate_job(const struct run_config *config, const struct boot_info *info)
{
	static struct migration m;

	return migrate(&m, config, info);
}
