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

static inline void trace_at(uint64_t tsc, enum trace_event event, uint64_t a, uint64_t b)
{
	unsigned int cpu = cpu_id();
	uint64_t n = trace_next[cpu]++;

	trace_records[cpu][n & (TRACE_RECORDS - 1)] =
		(struct trace_record){ .tsc = tsc, .event = event, .cpu = cpu, .a = a, .b = b };
}

static inline void trace(enum trace_event event, uint64_t a, uint64_t b)
{
	trace_at(x86_rdtsc(), event, a, b);
}

/* Prints the last n events of a CPU, oldest first. */
void trace_print(unsigned int cpu, unsigned int n);

#endif
