/* SPDX-License-Identifier: MIT */
/* Samples over time. See hv/migrate/samples.h. */
#include "hv/migrate/samples.h"

#include "hv/base/clock.h"
#include "hv/base/trace.h"
#include "hv/migrate/report.h"

#define EVERY_US 10000

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

void samples_take(struct migration *m)
{
	const struct sample s = { .vm = m->to, .now = clock_now() };

	put_memory(&s);
	for (unsigned int i = 0; i < m->to->nvcpus; i++) {
		const struct vcpu *v = &m->to->vcpu[i];

		put(&s, TRACE_PASSES, i, v->passes);
		put(&s, TRACE_FAULTS, i, v->stats.wait.faults);
		put(&s, TRACE_BLOCKED, i, v->stats.wait.block_cycles);
	}
	m->sample_due = s.now + us_to_cycles(EVERY_US);
}

void samples_poll(struct migration *m)
{
	if (clock_now() >= m->sample_due)
		samples_take(m);
}
