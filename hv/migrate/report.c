/* SPDX-License-Identifier: MIT */
/* What people and programs are told: a progress line, a table, and one line of JSON. */
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/json.h"
#include "hv/migrate/migrate.h"
#include "hv/policy/policy.h"
#include "mm/percpu.h"

#define PROGRESS_STEP 5 /* percent */

typedef unsigned long long ull;

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

static uint64_t faults_of(const struct vm *vm)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < vm->nvcpus; i++)
		n += vm->vcpu[i].stats.wait.faults;
	return n;
}

void report_progress(struct migration *m, bool always)
{
	uint64_t placed = pager_settled(&m->to->mem);
	uint64_t percent = placed * 100 / m->to->mem.frames;
	struct granularity g = granularity_of(&m->to->mem.ept);

	if (g.pages_4k > m->worst.pages_4k)
		m->worst = g;
	if (!m->verbose || (percent < m->next_progress && !always) || m->next_progress > 100)
		return;
	m->next_progress = percent + PROGRESS_STEP;
	con_printf(
		"cleave-progress: %3llu%%  %llu/%llu pages  %llu faults  leaves 4K %lld  2M %lld  "
		"1G %lld\n",
		(ull)percent, (ull)placed, (ull)m->to->mem.frames, (ull)faults_of(m->to),
		(long long)g.pages_4k, (long long)g.pages_2m, (long long)g.pages_1g);
}

/* --- figures ------------------------------------------------------------------------------ */

static uint64_t downtime(const struct migration *m)
{
	return m->to->first_entry - m->stopped;
}

static uint64_t per(uint64_t sum, uint64_t n)
{
	return n ? sum / n : 0;
}

struct faults {
	uint64_t all, remote, spurious, latency[LATENCY_BUCKETS];
};

static struct faults sum_faults(const struct vm *vm)
{
	struct faults f = { 0 };

	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct fault_stats *s = &vm->vcpu[i].stats.wait;

		f.all += s->faults;
		f.spurious += s->spurious;
		for (unsigned int b = 0; b < LATENCY_BUCKETS; b++) {
			f.latency[b] += s->latency[b];
			f.remote += s->latency[b];
		}
	}
	return f;
}

static const char *level_name(enum pg_level level)
{
	static const char *const names[] = { "?", "4K", "2M", "1G" };

	return names[level];
}

/* --- the table ---------------------------------------------------------------------------- */

static void print_levels(const struct migration *m)
{
	const struct granularity *g[] = { &m->at_switch, &m->worst, &m->end };
	static const char *const when[] = { "at the switch-over", "at the worst moment",
					    "at the end" };

	con_printf("cleave:   leaves                      4K         2M         1G     tables\n");
	for (unsigned int i = 0; i < ARRAY_LEN(g); i++)
		con_printf("cleave:     %-20s %10lld %10lld %10lld %10lld\n", when[i],
			   (long long)g[i]->pages_4k, (long long)g[i]->pages_2m,
			   (long long)g[i]->pages_1g, (long long)g[i]->tables);
}

static void print_vcpus(const struct migration *m)
{
	for (unsigned int i = 0; i < m->to->nvcpus; i++) {
		const struct vcpu *v = &m->to->vcpu[i];

		con_printf(
			"cleave:   vcpu %u: blocktime %llu us (longest wait %llu us), %llu faults, "
			"%llu exits, %llu steps, verdict %s\n",
			i, (ull)cycles_to_us(v->stats.wait.block_cycles),
			(ull)cycles_to_us(v->stats.wait.block_max), (ull)v->stats.wait.faults,
			(ull)v->stats.exits, (ull)v->steps, v->verdict ? "WRONG" : "right");
	}
}

static void print_latency(const struct faults *f)
{
	if (!f->remote)
		return;
	con_printf(
		"cleave:   request latency (from the fault to the page, powers of two in cycles):\n");
	for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
		if (f->latency[b])
			con_printf("cleave:     %10llu .. %10llu ns %8llu\n",
				   (ull)cycles_to_ns(1ull << b), (ull)cycles_to_ns(2ull << b),
				   (ull)f->latency[b]);
}

static void print_table(const struct migration *m, const struct faults *f)
{
	const struct ept_stats *s = &m->stats;

	con_printf(
		"cleave: migration %s: %llu MiB in %s frames, %u vCPU%s on %u CPU%s, collapse=%s\n",
		m->config->name, (ull)(m->config->region / MIB), level_name(m->backing),
		m->to->nvcpus, m->to->nvcpus == 1 ? "" : "s", ncpus, ncpus == 1 ? "" : "s",
		policy_name(m->config->policy));
	con_printf("cleave:   downtime %llu us, all pages after %llu us\n",
		   (ull)cycles_to_us(downtime(m)), (ull)cycles_to_us(m->arrived - m->stopped));
	con_printf(
		"cleave:   pages: %llu with contents, %llu zero; %llu arrivals on demand, %llu in "
		"the background, %llu duplicates\n",
		(ull)m->pager.data_frames, (ull)m->pager.zero_frames, (ull)m->pager.demand,
		(ull)m->pager.background, (ull)m->pager.duplicates);
	con_printf("cleave:   faults: %llu, %llu of them remote, %llu spurious\n", (ull)f->all,
		   (ull)f->remote, (ull)f->spurious);
	print_levels(m);
	con_printf("cleave:   splits %lld, collapses %lld, %s %llu (%lld batches), table pages at "
		   "most %llu\n",
		   (long long)(s->splits_absent + s->splits_present), (long long)s->collapses,
		   vendor->flush_name, (ull)m->flushes, (long long)s->syncs, (ull)m->tables_peak);
	con_printf(
		"cleave:   cycles per arrival, contents included: 4K %llu, 2M %llu, 1G %llu; per "
		"collapse %llu\n",
		(ull)per(m->pager.place_cycles_4k, m->pager.placed_4k),
		(ull)per(m->pager.place_cycles_2m, m->pager.placed_2m),
		(ull)per(m->pager.place_cycles_1g, m->pager.placed_1g),
		(ull)per(m->pager.collapse_cycles, (uint64_t)s->collapses));
	print_vcpus(m);
	print_latency(f);
	con_printf(
		"cleave:   contents: %llu pages equal to the source's, %llu written by the guest "
		"since\n",
		(ull)m->compared, (ull)m->written);
}

/* --- JSON --------------------------------------------------------------------------------- */

static void json_levels(struct json *j, const char *key, const struct granularity *g)
{
	json_put(j, ",\"%s\":{", key);
	j->comma = false;
	json_int(j, "pages_4k", g->pages_4k);
	json_int(j, "pages_2m", g->pages_2m);
	json_int(j, "pages_1g", g->pages_1g);
	json_int(j, "tables", g->tables);
	json_put(j, "}");
}

static void json_vcpus(struct json *j, const struct vm *vm)
{
	json_put(j, ",\"vcpus\":[");
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct vcpu *v = &vm->vcpu[i];

		json_put(j, i ? ",{" : "{");
		j->comma = false;
		json_int(j, "blocktime_us", (int64_t)cycles_to_us(v->stats.wait.block_cycles));
		json_int(j, "longest_wait_us", (int64_t)cycles_to_us(v->stats.wait.block_max));
		json_int(j, "faults", (int64_t)v->stats.wait.faults);
		json_int(j, "exits", (int64_t)v->stats.exits);
		json_int(j, "steps", (int64_t)v->steps);
		json_int(j, "verdict", (int64_t)v->verdict);
		json_put(j, "}");
	}
	json_put(j, "]");
}

static void json_latency(struct json *j, const struct faults *f)
{
	json_put(j, ",\"latency_log2_cycles\":[");
	for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
		json_put(j, "%s%llu", b ? "," : "", (ull)f->latency[b]);
	json_put(j, "]");
}

static void json_stats(struct json *j, const struct migration *m)
{
#define X(name, what) json_int(j, #name, (int64_t)m->stats.name);
	EPT_STATS(X)
#undef X
#define X(name, number, word, what) json_int(j, "refused_" word, m->stats.refused[name##_NR]);
	EPT_REFUSALS(X)
#undef X
#define X(name, what) json_int(j, "pager_" #name, (int64_t)m->pager.name);
	PAGER_STATS(X)
#undef X
}

static void print_json(const struct migration *m, const struct faults *f)
{
	static struct json j;

	json_begin(&j);
	json_str(&j, "name", m->config->name);
	json_str(&j, "guest", m->config->guest);
	json_str(&j, "verdict", m->verdict ? m->verdict : "pass");
	json_str(&j, "second_stage", vendor->format->name);
	json_str(&j, "backing", level_name(m->backing));
	json_str(&j, "collapse", policy_name(m->config->policy));
	json_int(&j, "cpus", ncpus);
	json_int(&j, "pages", (int64_t)m->to->mem.frames);
	json_int(&j, "tsc_khz", (int64_t)clock_khz);
	json_int(&j, "downtime_us", (int64_t)cycles_to_us(downtime(m)));
	json_int(&j, "arrived_us", (int64_t)cycles_to_us(m->arrived - m->stopped));
	json_int(&j, "faults", (int64_t)f->all);
	json_int(&j, "faults_remote", (int64_t)f->remote);
	json_int(&j, "faults_spurious", (int64_t)f->spurious);
	json_int(&j, "flushes", (int64_t)m->flushes);
	json_int(&j, "tables_peak", (int64_t)m->tables_peak);
	json_int(&j, "compared", (int64_t)m->compared);
	json_int(&j, "written", (int64_t)m->written);
	json_stats(&j, m);
	json_levels(&j, "at_switch", &m->at_switch);
	json_levels(&j, "worst", &m->worst);
	json_levels(&j, "end", &m->end);
	json_vcpus(&j, m->to);
	json_latency(&j, f);
	json_end(&j);
}

void report(const struct migration *m)
{
	struct faults f = sum_faults(m->to);

	if (m->verbose)
		print_table(m, &f);
	print_json(m, &f);
}
