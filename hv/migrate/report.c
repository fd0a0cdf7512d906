/* SPDX-License-Identifier: MIT */
/* The progress line, and the table of a migration. See hv/migrate/report.h. */
#include "hv/migrate/report.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/migrate/report_json.h"
#include "hv/migrate/report_link.h"
#include "hv/policy/policy.h"
#include "mm/percpu.h"

#define PROGRESS_STEP 5 /* percent */

typedef unsigned long long ull;
typedef long long ll;

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
	huge_note(&m->huge, (uint64_t)(g.pages_2m + 512 * g.pages_1g));
	if (!m->verbose || (percent < m->next_progress && !always) || m->next_progress > 100)
		return;
	m->next_progress = percent + PROGRESS_STEP;
	con_printf(
		"cleave-progress: %3llu%%  %llu/%llu pages  %llu faults  leaves 4K %lld  2M %lld  "
		"1G %lld\n",
		(ull)percent, (ull)placed, (ull)m->to->mem.frames, (ull)faults_of(m->to),
		(ll)g.pages_4k, (ll)g.pages_2m, (ll)g.pages_1g);
}

/* --- the table ---------------------------------------------------------------------------- */

static uint64_t per(uint64_t sum, uint64_t n)
{
	return n ? sum / n : 0;
}

static const char *level_name(enum pg_level level)
{
	static const char *const names[] = { "?", "4K", "2M", "1G" };

	return names[level];
}

static const char *plural(unsigned int n)
{
	return n == 1 ? "" : "s";
}

static void print_head(const struct migration *m)
{
	con_printf(
		"cleave: migration %s: %llu MiB in %s frames, %llu KiB at a time, %u vCPU%s on %u "
		"CPU%s, collapse=%s\n",
		m->config->name, (ull)(m->config->region / MIB), level_name(m->backing),
		(ull)(m->arrive * PAGE_SIZE / KIB), m->to->nvcpus, plural(m->to->nvcpus), ncpus,
		plural(ncpus), policy_name(m->policy));
	if (m->config->hops > 1)
		con_printf("cleave:   migration %u of %u, to VM %s\n", m->hop + 1, m->config->hops,
			   m->to->name);
	if (m->watched.changes)
		con_printf("cleave:   changed by the monitor: %u command%s\n", m->watched.changes,
			   plural(m->watched.changes));
	if (m->verdict)
		con_printf("cleave:   FAILED: %s; the figures are of what came so far\n",
			   m->verdict);
}

static void print_times(const struct migration *m, const struct figures *f)
{
	if (f->precopy_rounds)
		con_printf(
			"cleave:   pre-copy: %lld pages in %lld rounds, %lld dirty at the stop\n",
			(ll)f->precopy_copied, (ll)f->precopy_rounds, (ll)f->precopy_dirty_at_stop);
	if (f->downtime_us >= 0)
		con_printf("cleave:   downtime %lld us", (ll)f->downtime_us);
	else
		con_printf("cleave:   the destination never ran");
	if (m->arrived)
		con_printf(", all pages after %lld us\n", (ll)f->arrived_us);
	else
		con_printf(", %llu of %llu pages arrived\n", (ull)pager_settled(&m->to->mem),
			   (ull)m->to->mem.frames);
}

static void print_pages(const struct migration *m, const struct figures *f)
{
	const struct pager_stats *p = &m->pager;

	con_printf("cleave:   pages: %llu with contents, %llu zero, %lld lost; %llu arrivals on "
		   "demand, %llu in the background, %llu duplicates\n",
		   (ull)p->data_frames, (ull)p->zero_frames, (ll)m->stats.poisoned, (ull)p->demand,
		   (ull)p->background, (ull)p->duplicates);
	con_printf(
		"cleave:   faults: %lld; %lld waited for their page, %lld found it at hand, %lld "
		"were spurious\n",
		(ll)f->faults, (ll)f->faults_waited, (ll)f->faults_at_hand, (ll)f->faults_spurious);
	if (m->link)
		return;
	con_printf(
		"cleave:   urgent answers waited at most %lld us to be placed, behind at most %lld "
		"KiB of other work\n",
		(ll)f->urgent_late_us, (ll)f->urgent_behind / 1024);
}

static void print_levels(const struct migration *m)
{
	const struct granularity *g[] = { &m->at_switch, &m->worst, &m->end };
	static const char *const when[] = { "at the switch-over", "at the worst moment",
					    "at the end" };

	con_printf("cleave:   leaves                      4K         2M         1G     tables\n");
	for (unsigned int i = 0; i < ARRAY_LEN(g); i++)
		con_printf("cleave:     %-20s %10lld %10lld %10lld %10lld\n", when[i],
			   (ll)g[i]->pages_4k, (ll)g[i]->pages_2m, (ll)g[i]->pages_1g,
			   (ll)g[i]->tables);
}

static void print_work(const struct migration *m)
{
	const struct ept_stats *s = &m->stats;
	const struct pager_stats *p = &m->pager;

	con_printf("cleave:   splits %lld, collapses %lld, %s %llu (%lld batches), table pages at "
		   "most %llu\n",
		   (ll)(s->splits_absent + s->splits_present), (ll)s->collapses, vendor->flush_name,
		   (ull)m->flushes, (ll)s->syncs, (ull)m->tables_peak);
	con_printf(
		"cleave:   cycles per arrival, contents included: 4K %llu, 2M %llu, 1G %llu; per "
		"collapse %llu\n",
		(ull)per(p->place_cycles_4k, p->placed_4k),
		(ull)per(p->place_cycles_2m, p->placed_2m),
		(ull)per(p->place_cycles_1g, p->placed_1g),
		(ull)per(p->collapse_cycles, (uint64_t)s->collapses));
}

/* What the guest says of itself is good for nothing where the run has failed. */
static const char *vcpu_word(const struct migration *m, const struct vcpu *v)
{
	if (v->verdict || v->wrong_count)
		return "WRONG";
	return m->verdict ? "right, but the run has failed" : "right";
}

static void print_vcpus(const struct migration *m)
{
	for (unsigned int i = 0; i < m->to->nvcpus; i++) {
		const struct vcpu *v = &m->to->vcpu[i];
		const struct fault_stats *w = &v->stats.wait;

		con_printf(
			"cleave:   vcpu %u: blocktime %llu us (longest wait %llu us), %llu faults, "
			"%llu exits, ",
			i, (ull)cycles_to_us(w->block_cycles), (ull)cycles_to_us(w->block_max),
			(ull)w->faults, (ull)vcpu_exits(v));
		if (v->run != VCPU_DONE)
			con_printf("%s\n", m->to->platform && m->to->platform->end
						   ? "its system has ended"
						   : "it did not finish");
		else
			con_printf("%llu steps, verdict %s\n", (ull)v->steps, vcpu_word(m, v));
	}
}

static void print_latency(const struct figures *f)
{
	if (!f->faults_waited && !f->faults_at_hand)
		return;
	con_printf("cleave:   from the fault to the page, powers of two in cycles:\n");
	for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
		if (f->latency[b])
			con_printf("cleave:     %10llu .. %10llu ns %8llu\n",
				   (ull)cycles_to_ns(1ull << b), (ull)cycles_to_ns(2ull << b),
				   (ull)f->latency[b]);
}

/* What a whole system has told (hv/platform/platform.h). */
static void print_system(const struct migration *m)
{
	const struct platform *p = m->to->platform;

	if (!p)
		return;
	con_printf("cleave:   the guest gave %llu pages back; %lld pages had not arrived then, and "
		   "were not fetched\n",
		   (ull)p->given, (ll)m->stats.given_up);
	if (p->huge)
		con_printf("cleave:   %llu of the guest's %llu huge pages lie in leaves of 2 MiB "
			   "or more\n",
			   (ull)p->huge_large, (ull)p->huge);
}

static void print_contents(const struct migration *m)
{
	if (m->verdict)
		return;
	if (m->link) {
		con_printf(
			"cleave:   contents: %llu pages are what the guest says, or zeros where it "
			"has not written; %llu given back, %llu lost\n",
			(ull)m->compared, (ull)m->written, (ull)m->lost);
		return;
	}
	con_printf(
		"cleave:   contents: %llu pages equal to the source's, %llu written by the guest "
		"since, %llu lost\n",
		(ull)m->compared, (ull)m->written, (ull)m->lost);
	if (m->healed)
		con_printf("cleave:   %llu tables collapsed only in a last sweep\n",
			   (ull)m->healed);
}

void report(const struct migration *m)
{
	struct figures f = figures_of(m);

	if (m->verbose) {
		print_head(m);
		print_times(m, &f);
		print_pages(m, &f);
		print_levels(m);
		print_work(m);
		print_vcpus(m);
		print_latency(&f);
		if (m->link) {
			report_rounds_print(m->ahead.pages, MIN(m->ahead.rounds, AHEAD_ROUNDS));
			report_link_print(m->link, m->pager.data_frames);
		}
		print_contents(m);
		print_system(m);
	}
	report_json(m, &f);
}
