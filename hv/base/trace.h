/* SPDX-License-Identifier: MIT */
/*
 * A ring of the last events on each CPU. Its own CPU writes it, without locks; a panic prints it.
 * With trace=all the rings are larger, and hv/base/trace_stream.h reads them while they are
 * written.
 */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include <stdatomic.h>

#include "hv/trace_abi.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define TRACE_RECORDS       512   /* per CPU, a power of two */
#define TRACE_RECORDS_LARGE 65536 /* likewise, with trace=all */

/* Where each CPU writes next, its records, and how often it began anew. `laps` is written before
 * `next`, and `next` after all records but the newest: see trace_written(). */
extern struct trace_place {
	struct trace_record *_Atomic next;
	struct trace_record *end, *begin;
	_Atomic uint64_t laps;
} trace_places[MAX_CPUS];

/* Notes an event. @cpu: this CPU. @tsc: its time, as the caller has read it */
static inline void trace_at(size_t cpu, uint64_t tsc, enum trace_event event, uint64_t a,
			    uint64_t b)
{
	struct trace_place *place = &trace_places[cpu];
	struct trace_record *r = atomic_load_explicit(&place->next, memory_order_relaxed);
	struct trace_record *next = r + 1;

	if (next == place->end) {
		next = place->begin;
		atomic_store_explicit(&place->laps, place->laps + 1, memory_order_relaxed);
	}
	atomic_store_explicit(&place->next, next, memory_order_release);

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

/* Makes the rings larger; forgets what is in them. Only the boot CPU may run. False: there is no
 * memory for that. */
bool must_check trace_enlarge(void);

/* Prints the last n events of a CPU, oldest first. */
void trace_print(unsigned int cpu, unsigned int n);

#endif
