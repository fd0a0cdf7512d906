/* SPDX-License-Identifier: MIT */
/*
 * Samples over time: with trace=all, TRACE_FIGURES of the destination go into the trace every
 * 10 ms of the machine's time, and once more at the end. The same figures follow from the trace's
 * other events: so they are counted twice.
 */
#ifndef HV_MIGRATE_SAMPLES_H
#define HV_MIGRATE_SAMPLES_H

#include "hv/base/trace_stream.h"
#include "hv/migrate/migrate.h"

/* Takes one now. Boot CPU only. */
void samples_take(struct migration *m);

/* Takes one if it is time. */
void samples_poll(struct migration *m);

/* Call it in each loop that waits for the destination. Without trace=all: a look at one byte. */
static inline void samples_turn(struct migration *m)
{
	if (trace_streams)
		samples_poll(m);
}

#endif
