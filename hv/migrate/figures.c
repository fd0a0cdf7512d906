/* SPDX-License-Identifier: MIT */
/* The figures of a migration. See hv/migrate/report.h. */
#include "hv/base/clock.h"
#include "hv/migrate/report.h"
#include "mm/percpu.h"

struct granularity granularity_of(const struct ept *ept)
{
	struct granularity g = { 0 };

	for (unsigned int i = 0; i < ncpus; i++) {
		const struct ept_counters *s = &ept->cpu[i].stats;

		g.pages_4k += atomic_load_explicit(&s->pages_4k, memory_order_relaxed);
		g.pages_2m += atomic_load_explicit(&s->pages_2m, memory_order_relaxed);
		g.pages_1g += atomic_load_explicit(&s->pages_1g, memory_order_relaxed);
		g.tables += atomic_load_explicit(&s->tables, memory_order_relaxed);
	}
	return g;
}

/* From the stop of the source; -1: it never came to that. */
static int64_t since_stop(const struct migration *m, uint64_t when)
{
	return when ? (int64_t)cycles_to_us(when - m->stopped) : -1;
}

static void add_vcpu(struct figures *f, const struct vcpu_stats *s)
{
	f->faults += (int64_t)s->wait.faults;
	f->faults_waited += (int64_t)s->wait.waits;
	f->faults_spurious += (int64_t)s->wait.spurious;
	f->machine_checks += (int64_t)s->machine_checks;
	f->blocktime_us += (int64_t)cycles_to_us(s->wait.block_cycles);
	f->longest_wait_us = MAX(f->longest_wait_us, (int64_t)cycles_to_us(s->wait.block_max));
	for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
		f->latency[b] += s->wait.latency[b];
}

struct figures figures_of(const struct migration *m)
{
	const struct pager *p = &m->to->mem.pager;
	struct figures f = {
		.downtime_us = since_stop(m, m->to->first_entry),
		.arrived_us = since_stop(m, m->arrived),
		.huge_first_us = since_stop(m, m->huge.first),
		.huge_most_us = since_stop(m, huge_most(&m->huge)),
		.huge_last_us = since_stop(m, m->huge.last),
		.finished_us = since_stop(m, m->finished),
		.faults_at_hand = (int64_t)(m->pager.at_hand + m->pager.pieces_at_hand),
		.urgent_late_us = m->link ? -1 : (int64_t)cycles_to_us(p->late_max),
		.urgent_late_cycles = m->link ? -1 : (int64_t)p->late_max,
		.urgent_behind = (int64_t)p->work_max,
		.flushes = (int64_t)m->flushes,
		.tables_peak = (int64_t)m->tables_peak,
		.recovered = (int64_t)m->recovered,
		.healed_requests = (int64_t)m->stream.healed,
		.healed = (int64_t)m->healed,
		.owed = order_of(m->config->order)->on_demand ? (int64_t)m->owed : -1,
		.compared = (int64_t)m->compared,
		.written = (int64_t)m->written,
		.lost = (int64_t)m->lost,
		.precopy_rounds = m->link ? m->ahead.rounds : m->precopy.rounds.n,
		.precopy_copied = (int64_t)m->precopy.staging.copied,
		.precopy_dirty_at_stop = (int64_t)(m->link ? m->ahead.at_stop : m->precopy.at_stop),
		.monitor_changes = m->watched.changes ? (int64_t)m->watched.changes : -1,
	};

	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		add_vcpu(&f, &m->to->vcpu[i].stats);
	return f;
}
