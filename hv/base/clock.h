/* SPDX-License-Identifier: MIT */
/* Time is the TSC; microseconds are for people. */
#ifndef HV_CLOCK_H
#define HV_CLOCK_H

#include "mm/x86.h"

extern uint64_t clock_khz; /* rate of the TSC */

static inline uint64_t clock_now(void)
{
	return x86_rdtsc(); /* cycles */
}

static inline uint64_t us_to_cycles(uint64_t us)
{
	return us * clock_khz / 1000;
}

static inline uint64_t cycles_to_us(uint64_t cycles)
{
	return cycles / clock_khz * 1000 + cycles % clock_khz * 1000 / clock_khz;
}

static inline uint64_t cycles_to_ns(uint64_t cycles)
{
	return cycles / clock_khz * 1000000 + cycles % clock_khz * 1000000 / clock_khz;
}

#endif
