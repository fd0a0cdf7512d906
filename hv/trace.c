/* SPDX-License-Identifier: MIT */
/* Printing the trace. */
#include "hv/trace.h"

#include "hv/console.h"

struct trace_ring trace_rings[MAX_CPUS];

static const char *event_name(unsigned int event)
{
	static const char *const names[] = {
#define X(name, what) #name,
		TRACE_EVENTS(X)
#undef X
	};

	return event < TRACE_EVENT_COUNT ? names[event] : "?";
}

void trace_print(unsigned int cpu, unsigned int n)
{
	const struct trace_ring *ring = &trace_rings[cpu];
	uint64_t have = MIN(ring->next, (uint64_t)MIN(n, (unsigned int)TRACE_RECORDS));

	for (uint64_t i = ring->next - have; i < ring->next; i++) {
		const struct trace_record *r = &ring->record[i & (TRACE_RECORDS - 1)];

		con_printf("cleave:   cpu%u %16llu %-9s %llx %llx\n", cpu,
			   (unsigned long long)r->tsc, event_name(r->event), r->a, r->b);
	}
}
