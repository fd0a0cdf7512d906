/* SPDX-License-Identifier: MIT */
/* The trace's rings, and printing them. */
#include "hv/base/trace.h"

#include "hv/base/console.h"
#include "mm/machine.h"

static struct trace_record records_small[MAX_CPUS][TRACE_RECORDS];
struct trace_place trace_places[MAX_CPUS];

static const char *event_name(unsigned int event)
{
	static const char *const names[] = {
#define X(name, a, b, what) #name,
		TRACE_EVENTS(X)
#undef X
	};

	return event < TRACE_EVENT_COUNT ? names[event] : "?";
}

/* A record that was never written has the time 0. */
static void place_ring(unsigned int cpu, struct trace_record *records, unsigned int n)
{
	struct trace_place *place = &trace_places[cpu];

	__builtin_memset(records, 0, n * sizeof(*records));
	/* A record's CPU never changes, so writing one leaves it alone. */
	for (unsigned int i = 0; i < n; i++)
		records[i].cpu = cpu;
	place->begin = records;
	place->end = records + n;
	place->laps = 0;
	place->next = records;
}

void trace_init(void)
{
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		place_ring(cpu, records_small[cpu], TRACE_RECORDS);
}

bool trace_enlarge(void)
{
	for (unsigned int cpu = 0; cpu < ncpus; cpu++) {
		hpa_t ring = frame_alloc(&machine_frames, frame_order(TRACE_RECORDS_LARGE *
								      sizeof(struct trace_record)));

		if (ring.v == HPA_NONE.v)
			return false;
		place_ring(cpu, direct(ring), TRACE_RECORDS_LARGE);
	}
	return true;
}

void trace_print(unsigned int cpu, unsigned int n)
{
	const struct trace_place *place = &trace_places[cpu];
	unsigned int size = (unsigned int)(place->end - place->begin);
	unsigned int end = (unsigned int)(place->next - place->begin);

	n = MIN(n, size);
	for (unsigned int i = end - n; i != end; i++) {
		const struct trace_record *r = &place->begin[i & (size - 1)];

		if (r->tsc)
			con_printf("cleave:   cpu%u %16llu %-9s %llx %llx\n", cpu, r->tsc,
				   event_name(r->event), r->a, r->b);
	}
}
