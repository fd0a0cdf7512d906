/* SPDX-License-Identifier: MIT */
/* A ring of the last events on each CPU. Written without locks by its own CPU; printed by a
 * panic. */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include "hv/trace_abi.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define TRACE_RECORDS 512 /* per CPU, a power of two */

/* One CPU's records, aligned to their size, so that the end is known by the address. One that was
 * never written has the time 0. */
struct trace_ring {
	struct trace_record record[TRACE_RECORDS];
} __attribute__((aligned(TRACE_RECORDS * sizeof(struct trace_record))));

extern struct trace_ring trace_rings[MAX_CPUS];
extern struct trace_record *trace_next[MAX_CPUS]; /* where the CPU writes next */

/* On CPU `cpu`, which is this one, at a time that the caller has read already. */
static inline void trace_at(unsigned int cpu, uint64_t tsc, enum trace_event event, uint64_t a,
			    uint64_t b)
{
	struct trace_record *r = trace_next[cpu];
	struct trace_record *next = r + 1;

	if (__builtin_expect(!((uintptr_t)next & (sizeof(struct trace_ring) - 1)), 0))
		next -= TRACE_RECORDS;
	trace_next[cpu] = next;

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
