/* SPDX-License-Identifier: MIT */
/*
 * With trace=all, the boot CPU sends every CPU's records through the third serial port, while they
 * are written: the format is in hv/trace_abi.h. What a CPU overwrites before it was read is
 * counted.
 */
#ifndef HV_TRACE_STREAM_H
#define HV_TRACE_STREAM_H

#include "mm/types.h"

struct trace_sums {
	uint64_t sent, lost; /* records */
};

extern bool trace_streams;
extern struct trace_sums trace_sums; /* all CPUs, since the stream began */

/* Makes the rings larger and begins the stream, or says why it cannot. Only the boot CPU may run.
 * @second_stage: what the hardware calls it */
void trace_stream_begin(const char *second_stage);

/* Boot CPU only, as all below but the end. Sends a few records, or many if a ring is filling up. */
void trace_stream_some(void);

/* Sends all that the CPUs have written by now, but for the newest record of each other CPU, which
 * it may be writing. */
void trace_stream_all(void);

/* Sends the rest: the other CPUs are idle, or stopped. */
void trace_stream_end(void);

/* Call this in every loop of the boot CPU. */
static inline void trace_stream_poll(void)
{
	if (trace_streams)
		trace_stream_some();
}

#endif
