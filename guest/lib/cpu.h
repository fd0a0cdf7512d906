/* SPDX-License-Identifier: MIT */
/* The few instructions that C has no words for. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdint.h>

#define CR0_PE      (UINT64_C(1) << 0)
#define CR0_WP      (UINT64_C(1) << 16)
#define CR0_NW      (UINT64_C(1) << 29)
#define CR4_DE      (UINT64_C(1) << 3)
#define CR4_PAE     (UINT64_C(1) << 5)
#define CR4_OSFXSR  (UINT64_C(1) << 9)
#define CR4_VMXE    (UINT64_C(1) << 13)
#define CR4_OSXSAVE (UINT64_C(1) << 18)
#define CR4_SMEP    (UINT64_C(1) << 20)

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

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline uint64_t cpu_cr0(void)
{
	uint64_t cr0;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	return cr0;
}

static inline uint64_t cpu_cr4(void)
{
	uint64_t cr4;

	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	return cr4;
}

/* CR2. */
static inline uint64_t cpu_fault_address(void)
{
	uint64_t cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	return cr2;
}

#endif
