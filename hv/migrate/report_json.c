/* SPDX-License-Identifier: MIT */
/* The line of JSON: every knob, every figure, every counter. See hv/migrate/report_json.h. */
#include "hv/migrate/report_json.h"

#include "hv/base/clock.h"
#include "hv/base/json.h"
#include "hv/base/trace_stream.h"
#include "hv/migrate/knobs.h"
#include "hv/migrate/report_link.h"
#include "mm/percpu.h"

static void put_levels(struct json *j, const char *key, const struct granularity *g)
{
	json_open(j, key, '{');
	json_int(j, "pages_4k", g->pages_4k);
	json_int(j, "pages_2m", g->pages_2m);
	json_int(j, "pages_1g", g->pages_1g);
	json_int(j, "tables", g->tables);
	json_close(j, '}');
}

/* @failed: the guest's own verdict then is good for nothing, unless it is bad */
static void put_vcpu(struct json *j, const struct vcpu *v, bool failed)
{
	json_open(j, NULL, '{');
	json_int(j, "blocktime_us", (int64_t)cycles_to_us(v->stats.wait.block_cycles));
	json_int(j, "longest_wait_us", (int64_t)cycles_to_us(v->stats.wait.block_max));
	json_int(j, "faults", (int64_t)v->stats.wait.faults);
	json_int(j, "exits", (int64_t)vcpu_exits(v));
	if (v->run == VCPU_DONE) {
		json_int(j, "steps", (int64_t)v->steps);
		if (!failed || v->verdict)
			json_int(j, "verdict", (int64_t)v->verdict);
	}
	json_close(j, '}');
}

static void put_latency(struct json *j, const struct figures *f)
{
	json_open(j, "latency_log2_cycles", '[');
	for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
		json_int(j, NULL, (int64_t)f->latency[b]);
	json_close(j, ']');
}

static void put_counters(struct json *j, const struct migration *m)
{
#define X(name, what) json_int(j, #name, m->stats.name);
	EPT_STATS(X)
#undef X
#define X(name, number, word, what) json_int(j, "refused_" word, m->stats.refused[name##_NR]);
	EPT_REFUSALS(X)
#undef X
#define X(name, what) json_int(j, "pager_" #name, (int64_t)m->pager.name);
	PAGER_STATS(X)
#undef X
}

/* What a whole system has told (hv/platform/platform.h). */
static void put_system(struct json *j, const struct platform *p)
{
	json_int(j, "guest_gave_back", (int64_t)p->given);
	json_int(j, "guest_huge_pages", (int64_t)p->huge);
	json_int(j, "guest_huge_in_large_leaves", (int64_t)p->huge_large);
}

static void put_figures(struct json *j, const struct figures *f)
{
	/* What never came to pass has no figure. */
#define X(name)                                                                                    \
	if (f->name >= 0)                                                                          \
		json_int(j, #name, f->name);
	REPORT_FIGURES(X)
#undef X
	put_latency(j, f);
}

void report_json(const struct migration *m, const struct figures *f)
{
	static const char *const level[] = { "", "4K", "2M", "1G" };
	static struct json j;

	json_begin(&j);
	json_str(&j, "name", m->config->name);
	json_str(&j, "verdict", m->verdict ? m->verdict : "pass");
	json_str(&j, "second_stage", vendor->format->name);
	json_str(&j, "backing", level[m->backing]);
	json_int(&j, "cpus", ncpus);
	json_int(&j, "hop", m->hop);
	json_int(&j, "pages", (int64_t)m->to->mem.frames);
	json_int(&j, "tsc_khz", (int64_t)clock_khz);
	json_int(&j, "tsc", (int64_t)clock_now()); /* since the machine's start */
	if (trace_streams) {
		json_int(&j, "trace_records", (int64_t)trace_sums.sent);
		json_int(&j, "trace_lost", (int64_t)trace_sums.lost);
	}
	knobs_put(&j, m->machine, m->config);
	put_figures(&j, f);
	put_counters(&j, m);
	if (m->to->platform)
		put_system(&j, m->to->platform);
	if (m->link) {
		report_rounds_json(&j, m->ahead.pages, MIN(m->ahead.rounds, AHEAD_ROUNDS));
		report_link_json(&j, m->link, m->pager.data_frames);
	}
	put_levels(&j, "at_switch", &m->at_switch);
	put_levels(&j, "worst", &m->worst);
	put_levels(&j, "end", &m->end);
	json_open(&j, "vcpus", '[');
	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		put_vcpu(&j, &m->to->vcpu[i], m->verdict);
	json_close(&j, ']');
	json_end(&j);
}
