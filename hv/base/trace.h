/* SPDX-License-Identifier: MIT */
/* A ring of the last events on each CPU. Written without locks by its own CPU; printed by a
 * panic. */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include "hv/trace_abi.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define TRACE_RECORDS 512 /* per CPU, a power of two */

extern struct trace_record trace_records[MAX_CPUS][TRACE_RECORDS];
extern uint64_t trace_next[MAX_CPUS]; /* records that the CPU ever wrote */

/* On CPU `cpu`, which is this one, at a time that the caller has read already. */
static inline void trace_at(unsigned int cpu, uint64_t tsc, enum trace_event event, uint64_t a,
			    uint64_t b)
{
	uint64_t n = trace_next[cpu]++;
	struct trace_record *r = &trace_records[cpu][n & (TRACE_RECORDS - 1)];

	r->tsc = tsc;
	r->event = event;
	r->a = a;
	r->b = b;
}

static inline void trace(enum trace_event event, uint64_t a, uint64_t b)
{
	trace_at(cpu_id(), x86_rdtsc(), event, a, b);
}

/* Before the first event. */
void trace_init(void);

/* Prints the last n events of a CPU, oldest first. */
void trace_print(unsigned int cpu, unsigned int n);

#endif
