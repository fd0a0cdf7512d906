/* SPDX-License-Identifier: MIT */
/* The few instructions that C has no words for. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdint.h>

struct cpuid_result {
	uint32_t a, b, c, d;
};

static inline struct cpuid_result cpuid(uint32_t leaf)
{
	struct cpuid_result r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
	return r;
}

/* Tells the CPU, and a hypervisor that listens, that this is a loop that waits. */
static inline void cpu_pause(void)
{
	asm volatile("pause" : : : "memory");
}

_Noreturn static inline void cpu_stop(void)
{
	for (;;)
		asm volatile("cli; hlt" : : : "memory");
}

/* Not before what comes before it has completed (SDM vol. 2, RDTSC). */
static inline uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t cpu_fault_address(void)
{
	uint64_t cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	return cr2;
}

#endif
