/* SPDX-License-Identifier: MIT */
/* A migration as the monitor sees it. See hv/migrate/watch.h. */
#include "hv/migrate/watch.h"

#include "hv/base/clock.h"
#include "hv/migrate/lose.h"
#include "hv/monitor/monitor.h"
#include "hv/policy/policy.h"

static void progress(void *ctx, struct watched_progress *p)
{
	const struct migration *m = ctx;

	*p = (struct watched_progress){ .hop = m->hop, .policy = m->policy };
	if (!m->switched) {
		p->rate = m->config->stream;
		return;
	}
	p->rate = m->stream.rate;
	p->cut = m->to->mem.pager.source->ops->is_cut(m->to->mem.pager.source);
	p->settled = pager_settled(&m->to->mem);
	p->since_switch = cycles_to_us(clock_now() - m->switched);
}

static void set_rate(void *ctx, unsigned int rate)
{
	struct migration *m = ctx;

	stream_set_rate(&m->stream, rate);
}

/* Each policy begins once: a CPU may still be at work in one that was left. */
static void set_policy(void *ctx, enum config_policy policy)
{
	struct migration *m = ctx;
	const struct policy *p = policy_of(policy);

	if (!(m->policies_begun >> policy & 1))
		p->begin(&m->to->mem, m->config);
	m->policies_begun |= 1u << policy;
	m->policy = policy;
	/* Release: what it has begun is there before others use it. */
	__atomic_store_n(&m->to->mem.pager.policy, p, __ATOMIC_RELEASE);
}

static void cut(void *ctx, bool cut_off)
{
	struct migration *m = ctx;

	m->to->mem.pager.source->ops->cut(m->to->mem.pager.source, cut_off);
}

static void begin_now(void *ctx)
{
	struct migration *m = ctx;

	m->asked_for = true;
}

/* As pages that lose_late= loses. A page that the payload uses is not excused: its loss fails the
 * run. */
static void lost(void *ctx, gfn_t gfn, uint64_t frames)
{
	struct migration *m = ctx;

	for (uint64_t i = 0; i < frames; i++)
		if (!lose_is_used(m->config, gfn + i))
			bitmap_set(&m->lost_pages, gfn + i);
}

static void discarded(void *ctx, gfn_t gfn, uint64_t frames)
{
	struct migration *m = ctx;

	(void)gfn;
	m->discarded_for += frames;
}

static const struct watched_ops ops = {
	.progress = progress,
	.set_rate = set_rate,
	.set_policy = set_policy,
	.cut = cut,
	.migrate = begin_now,
	.lost = lost,
	.discarded = discarded,
};

void watch_source(struct migration *m)
{
	m->policy = m->config->policy;
	m->watched = (struct watched){
		.config = m->config,
		.machine = m->machine,
		.phase = "source",
		.vm = m->from,
		.begun = m->begun,
		.ops = &ops,
		.ctx = m,
		.no_change = "the migration has not begun: say `migrate`, or wait for it",
		.may_migrate = true,
	};
	monitor_watch(&m->watched);
}

void watch_destination(struct migration *m)
{
	m->policies_begun = 1u << m->config->policy;
	m->watched.vm = m->to;
	m->watched.no_change = NULL;
	m->watched.may_migrate = false;
	watch_phase(m, "arriving");
	monitor_watch(&m->watched);
}

void watch_phase(struct migration *m, const char *phase)
{
	m->watched.phase = phase;
}

void watch_end(void)
{
	monitor_leave();
}
