/* SPDX-License-Identifier: MIT */
/* A ring of the last events on each CPU. Its own CPU writes it, without locks; a panic prints it.
 */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include "hv/trace_abi.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define TRACE_RECORDS 512 /* per CPU, a power of two */

/* A record that was never written has the time 0. */
extern struct trace_record trace_records[MAX_CPUS][TRACE_RECORDS];

/* Where each CPU writes next, and the end of its records. */
extern struct trace_place {
	struct trace_record *next, *end;
} trace_places[MAX_CPUS];

/* Notes an event. @cpu: this CPU. @tsc: its time, as the caller has read it */
static inline void trace_at(unsigned int cpu, uint64_t tsc, enum trace_event event, uint64_t a,
			    uint64_t b)
{
	struct trace_place *place = &trace_places[cpu];
	struct trace_record *r = place->next;
	struct trace_record *next = r + 1;

	place->next = __builtin_expect(next == place->end, 0) ? next - TRACE_RECORDS : next;

	r->tsc = tsc;
	r->event = event;
	r->a = a;
	r->b = b;
}

static inline void trace(enum trace_event event, uint64_t a, uint64_t b)
{
	trace_at(cpu_id(), x86_rdtsc(), event, a, b);
}

/* Call this before the first event. */
void trace_init(void);

/* Prints the last n events of a CPU, oldest first. */
void trace_print(unsigned int cpu, unsigned int n);

#endif
