/* SPDX-License-Identifier: MIT */
/* How fast the time stamp counter runs. */
#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "mm/x86.h"

/* Of one measurement: short, so that some are not disturbed even where the host has no CPU free. */
#define SHORT_US 200
#define LONG_US  1200
#define TRIES    50

/* By CPUID 0x15, "Time Stamp Counter and Nominal Core Crystal Clock", or 0 where it does not say.
 */
static uint64_t tsc_claimed(void)
{
	struct cpuid c;

	if (x86_cpuid(0, 0).eax < 0x15)
		return 0;
	c = x86_cpuid(0x15, 0);
	return c.eax ? (uint64_t)c.ecx * c.ebx / c.eax / 1000 : 0;
}

/* A wait may take longer than we ask, never shorter: take the least of many. */
static uint64_t least_wait(unsigned int us)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < TRIES; i++) {
		uint64_t start = x86_rdtsc();

		firmware.bs->Stall(us);
		best = MIN(best, x86_rdtsc() - start);
	}
	return best;
}

/* By the firmware's clock. What a call of it costs is in both waits. */
static uint64_t tsc_by_stall(void)
{
	uint64_t shorter = least_wait(SHORT_US), longer = least_wait(LONG_US);

	return longer > shorter ? (longer - shorter) * 1000 / (LONG_US - SHORT_US) : 0;
}

uint64_t tsc_measure(void)
{
	uint64_t claimed = tsc_claimed(), measured = tsc_by_stall();
	uint64_t off = claimed > measured ? claimed - measured : measured - claimed;

	if (!measured)
		refuse("the time stamp counter does not count");
	/* CPUID is exact, except on an emulator that recites the model it plays. */
	return off < measured / 8 ? claimed : measured;
}
