/* SPDX-License-Identifier: MIT */
/* Printing the trace. */
#include "hv/base/trace.h"

#include "hv/base/console.h"

struct trace_record trace_records[MAX_CPUS][TRACE_RECORDS];
struct trace_place trace_places[MAX_CPUS];

static const char *event_name(unsigned int event)
{
	static const char *const names[] = {
#define X(name, what) #name,
		TRACE_EVENTS(X)
#undef X
	};

	return event < TRACE_EVENT_COUNT ? names[event] : "?";
}

void trace_init(void)
{
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++) {
		trace_places[cpu].next = trace_records[cpu];
		trace_places[cpu].end = trace_records[cpu] + TRACE_RECORDS;
		/* A record's CPU never changes, so writing one leaves it alone. */
		for (unsigned int i = 0; i < TRACE_RECORDS; i++)
			trace_records[cpu][i].cpu = cpu;
	}
}

void trace_print(unsigned int cpu, unsigned int n)
{
	const struct trace_record *records = trace_records[cpu];
	unsigned int end = (unsigned int)(trace_places[cpu].next - records);

	n = MIN(n, (unsigned int)TRACE_RECORDS);
	for (unsigned int i = end - n; i != end; i++) {
		const struct trace_record *r = &records[i & (TRACE_RECORDS - 1)];

		if (r->tsc)
			con_printf("cleave:   cpu%u %16llu %-9s %llx %llx\n", cpu, r->tsc,
				   event_name(r->event), r->a, r->b);
	}
}
