/* SPDX-License-Identifier: MIT */
/* Printing the trace. */
#include "hv/base/trace.h"

#include "hv/base/console.h"

struct trace_record trace_records[MAX_CPUS][TRACE_RECORDS];
uint64_t trace_next[MAX_CPUS];

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
	/* A record's CPU never changes, so writing one leaves it alone. */
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		for (unsigned int i = 0; i < TRACE_RECORDS; i++)
			trace_records[cpu][i].cpu = cpu;
}

void trace_print(unsigned int cpu, unsigned int n)
{
	uint64_t end = trace_next[cpu];
	uint64_t have = MIN(end, (uint64_t)MIN(n, (unsigned int)TRACE_RECORDS));

	for (uint64_t i = end - have; i < end; i++) {
		const struct trace_record *r = &trace_records[cpu][i & (TRACE_RECORDS - 1)];

		con_printf("cleave:   cpu%u %16llu %-9s %llx %llx\n", cpu, r->tsc,
			   event_name(r->event), r->a, r->b);
	}
}
