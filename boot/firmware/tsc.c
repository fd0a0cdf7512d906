/* SPDX-License-Identifier: MIT */
/* How fast the time stamp counter runs. */
#include "boot/base/least.h"
#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "mm/x86.h"

/* Of one measurement: short, so that some are not disturbed even where the host has no CPU free. */
#define SHORT_US 200
#define LONG_US  1200

#define CPUID1_ECX_HYPERVISOR (1u << 31)
#define HYPERVISOR            0x40000000
#define HYPERVISOR_TIMING     0x40000010

/* By CPUID 0x15, "Time Stamp Counter and Nominal Core Crystal Clock", or 0 where it does not say.
 */
static uint64_t tsc_of_crystal(void)
{
	struct cpuid c;

	if (x86_cpuid(0, 0).eax < 0x15)
		return 0;
	c = x86_cpuid(0x15, 0);
	return c.eax ? (uint64_t)c.ecx * c.ebx / c.eax / 1000 : 0;
}

/* By the leaf on which hypervisors agreed, in kHz, or 0. */
static uint64_t tsc_of_hypervisor(void)
{
	if (!(x86_cpuid(1, 0).ecx & CPUID1_ECX_HYPERVISOR) ||
	    x86_cpuid(HYPERVISOR, 0).eax < HYPERVISOR_TIMING)
		return 0;
	return x86_cpuid(HYPERVISOR_TIMING, 0).eax;
}

static uint64_t try(unsigned int us)
{
	uint64_t start = x86_rdtsc();

	firmware.bs->Stall(us);
	return x86_rdtsc() - start;
}

static uint64_t least_wait(unsigned int us)
{
	struct least least = least_of(us);

	while (least_note(&least, try(us)))
		;
	return least.cycles;
}

/* By the firmware's clock, in kHz. What a call of it costs is in both waits. */
static uint64_t rate(uint64_t shorter, uint64_t longer)
{
	return longer > shorter ? (longer - shorter) * 1000 / (LONG_US - SHORT_US) : 0;
}

/* CPUID is exact, except on an emulator that recites the model it plays. */
static bool is_true(uint64_t claimed, uint64_t measured)
{
	uint64_t off = claimed > measured ? claimed - measured : measured - claimed;

	return off < measured / 8;
}

uint64_t tsc_measure(void)
{
	uint64_t hypervisor = tsc_of_hypervisor();
	uint64_t claimed = hypervisor ? hypervisor : tsc_of_crystal();
	uint64_t measured;

	/* What a glance confirms needs no more. */
	if (claimed && is_true(claimed, rate(try(SHORT_US), try(LONG_US))))
		return claimed;
	measured = rate(least_wait(SHORT_US), least_wait(LONG_US));
	if (!measured)
		refuse("the time stamp counter does not count");
	return is_true(claimed, measured) ? claimed : measured;
}
