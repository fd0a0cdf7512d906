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
#include "hv/mem/guest_memory.h"
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

/* One round of what every loop below does besides its own work. */
static void turn(struct vm *vm)
{
	tlb_quiesce(&vm->tlb, cpu_id());
	if (ncpus == 1)
		(void)vm_turn(vm);
	else
		cpu_relax();
}

static const char *over_too_soon(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];

		if (vcpu->run == VCPU_DEAD) {
			con_printf("cleave: vm %s vcpu %u: stopped: %s\n", vm->name, i,
				   vcpu->death);
			print_vcpu(vcpu);
			return "a vCPU was stopped by a fault";
		}
		if (vcpu->run == VCPU_HALTED)
			return "a vCPU halted for good";
	}
	return NULL;
}

/* --- before ------------------------------------------------------------------------------- */

static const char *prepare(struct migration *m, const struct boot_info *info)
{
	/* The destination first: it wants the largest frames, before anything breaks them up. */
	m->to = vm_create("B", m->config, m->config->backing);
	if (!m->to)
		return "no memory for the destination";
	m->backing = m->to->ept.leaf_max;
	m->from = vm_create("A", m->config, PG_LEVEL_2M);
	if (!m->from)
		return "no memory for the source";
	pager_init(&m->from->pager, m->from, &source_zero, m->config->populate, POLICY_COMPLETE,
		   m->from->frames);
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
		turn(m->from);
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
	if (why && over_too_soon(m->from))
		why = over_too_soon(m->from);
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

	source_vm_init(&m->source, &m->from->ept, m->from->frames, latency);
	pager_init(&m->to->pager, m->to, &m->source.source, PG_LEVEL_4K, m->config->policy,
		   m->to->frames);
	stream_init(&m->stream, &m->to->pager, m->config);
	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		move_vcpu(&m->from->vcpu[i], &m->to->vcpu[i]);
	m->at_switch = granularity_of(&m->to->ept);
	m->worst = m->at_switch;
	trace(TRACE_SWITCH, m->from->id, m->to->id);
	vm_start(m->to);
}

/* --- after -------------------------------------------------------------------------------- */

/* How many collapses the budget allows now. */
static unsigned int collapse_allowance(struct migration *m)
{
	uint64_t ms = cycles_to_us(clock_now() - m->switched) / 1000 + 1;
	uint64_t allowed = ms * m->config->budget;

	return allowed > m->budget_used ? (unsigned int)(allowed - m->budget_used) : 0;
}

static bool collapse_some(struct migration *m)
{
	unsigned int n;

	if (m->config->policy != POLICY_BUDGET)
		return false;
	n = pager_collapse_some(&m->to->pager, cpu_id(), MIN(collapse_allowance(m), 8u));
	m->budget_used += n;
	return n != 0;
}

static const char *check_alive(const struct migration *m)
{
	if (atomic_load_explicit(&m->to->over, memory_order_acquire)) {
		const char *why = over_too_soon(m->to);

		return why ? why : "the guest ended before the migration did";
	}
	return out_of_time(m) ? "the pages did not all arrive in time" : NULL;
}

/* Brings pages in and collapses, as far as there is something to do. Where it shares its CPU with
 * the vCPUs it goes on for as long as a turn of theirs lasts. */
static void keep_house(struct migration *m)
{
	uint64_t until = ncpus == 1 ? clock_now() + us_to_cycles(SLICE_US) : 0;
	bool busy;

	do {
		busy = stream_step(&m->stream, cpu_id()) || collapse_some(m);
	} while (busy && clock_now() < until);
}

static const char *pull_pages(struct migration *m)
{
	const char *why = NULL;

	m->switched = m->stopped;
	while (!why && pager_settled(&m->to->pager) < m->to->frames) {
		keep_house(m);
		turn(m->to);
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
		turn(m->to);
		if (out_of_time(m))
			return "requests were never answered";
	}
	return NULL;
}

static const char *finish_collapse(struct migration *m)
{
	switch (m->config->policy) {
	case POLICY_END:
		pager_collapse_all(&m->to->pager, cpu_id());
		return NULL;
	case POLICY_BUDGET:
		while (pager_backlog(&m->to->pager)) {
			(void)collapse_some(m);
			turn(m->to);
			if (out_of_time(m))
				return "the collapse budget was too small to finish in time";
		}
		return NULL;
	default:
		return NULL;
	}
}

static const char *finish_guest(struct migration *m)
{
	atomic_store_explicit(&m->to->asked_to_finish, true, memory_order_release);
	while (!vm_over(m->to)) {
		turn(m->to);
		if (out_of_time(m))
			return "the guest did not finish in time";
	}
	return over_too_soon(m->to);
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
		ept_sync(&m->to->gather[i]);
	/* Nobody executes any more: what is small for that reason alone becomes large again. */
	if (m->to->ept.nx && m->config->policy != POLICY_NEVER) {
		(void)guest_recover_nx(m->to);
		/* What became complete while a part of it was small for that reason was refused. */
		pager_collapse_all(&m->to->pager, cpu_id());
	}
	m->finished = clock_now();
	return why;
}

/* --- the whole ----------------------------------------------------------------------------- */

static void collect(struct migration *m)
{
	m->end = granularity_of(&m->to->ept);
	ept_stats_sum(&m->to->ept, &m->stats);
	pager_sum(&m->to->pager, &m->pager);
	m->flushes = tlb_count(&m->to->tlb);
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
			machine_tables.in_use - (uint64_t)granularity_of(&m->to->ept).tables;
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
