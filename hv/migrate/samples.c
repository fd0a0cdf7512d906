/* SPDX-License-Identifier: MIT */
/* Samples over time. See hv/migrate/samples.h. */
#include "hv/migrate/samples.h"

#include "ept/monitor.h"
#include "hv/base/clock.h"
#include "hv/base/trace.h"
#include "hv/migrate/report.h"

#define EVERY_US   10000
#define TOUCH_STEP 64 /* entries */

/* All figures of a sample have one time. */
struct sample {
	const struct vm *vm;
	uint64_t now;
};

static void put(const struct sample *s, enum trace_figure figure, unsigned int vcpu, uint64_t value)
{
	trace_at(0, s->now, TRACE_SAMPLE, TRACE_FIGURE(figure, vcpu, s->vm->id), value);
}

static void put_memory(const struct sample *s)
{
	const struct memory *mem = &s->vm->mem;
	struct granularity g = granularity_of(&mem->ept);
	struct pager_stats p;

	pager_sum(mem, &p);
	put(s, TRACE_PAGES, 0, p.data_frames + p.zero_frames);
	put(s, TRACE_BYTES, 0, p.data_frames << PAGE_SHIFT);
	put(s, TRACE_LEAVES_4K, 0, (uint64_t)g.pages_4k);
	put(s, TRACE_LEAVES_2M, 0, (uint64_t)g.pages_2m);
	put(s, TRACE_LEAVES_1G, 0, (uint64_t)g.pages_1g);
	put(s, TRACE_TABLES, 0, (uint64_t)g.tables);
	put(s, TRACE_FLUSHES, 0, tlb_count(&mem->tlb));
}

/* Takes a step of the look for touched leaves; a look is over before the next sample, or later. */
static void touch_some(struct migration *m)
{
	struct memory *mem = &m->to->mem;
	struct ept_gather *g = mem_gather(mem);

	if (m->touch_next >= mem->end)
		return;
	m->touching += ept_touched(mem_handle(mem), &m->touch_next, mem->end, TOUCH_STEP, g);
	if (m->touch_next < mem->end)
		return;
	ept_sync(g);
	m->touched = m->touching;
	m->touching = 0;
}

void samples_take(struct migration *m)
{
	const struct sample s = { .vm = m->to, .now = clock_now() };

	put_memory(&s);
	put(&s, TRACE_TOUCHED, 0, m->touched);
	for (unsigned int i = 0; i < m->to->nvcpus; i++) {
		const struct vcpu *v = &m->to->vcpu[i];

		put(&s, TRACE_PASSES, i, v->passes);
		put(&s, TRACE_FAULTS, i, v->stats.wait.faults);
		put(&s, TRACE_BLOCKED, i, v->stats.wait.block_cycles);
	}
	m->sample_due = s.now + us_to_cycles(EVERY_US);
	if (m->touch_next >= m->to->mem.end)
		m->touch_next = 0;
}

void samples_poll(struct migration *m)
{
	if (clock_now() >= m->sample_due)
		samples_take(m);
	else
		touch_some(m);
}
