/* SPDX-License-Identifier: MIT */
/* A ring of the last events on each CPU. Written without locks by its own CPU; printed by a
 * panic. */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include "hv/trace_abi.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define TRACE_RECORDS 512 /* per CPU, a power of two */

struct trace_ring {
	uint64_t next;
	struct trace_record record[TRACE_RECORDS];
};

extern struct trace_ring trace_rings[MAX_CPUS];

static inline void trace(enum trace_event event, uint64_t a, uint64_t b)
{
	unsigned int cpu = cpu_id();
	struct trace_ring *ring = &trace_rings[cpu];
	struct trace_record *r = &ring->record[ring->next++ & (TRACE_RECORDS - 1)];

	*r = (struct trace_record){
		.tsc = x86_rdtsc(), .event = event, .cpu = cpu, .a = a, .b = b
	};
}

/* Prints the last n events of a CPU, oldest first. */
void trace_print(unsigned int cpu, unsigned int n);

#endif
