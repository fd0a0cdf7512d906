/* SPDX-License-Identifier: MIT */
/* The instructions of the architecture that C cannot say. Root mode only. */
#ifndef MM_X86_H
#define MM_X86_H

#include "mm/types.h"

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid x86_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c;

	__asm__ volatile("cpuid"
			 : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
			 : "a"(leaf), "c"(subleaf));
	return c;
}

static inline uint64_t x86_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void x86_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint64_t x86_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void x86_outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void x86_outsb(uint16_t port, const uint8_t *bytes, size_t n)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(n) : "d"(port) : "memory");
}

static inline uint8_t x86_inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void x86_outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t x86_inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#define X86_CR(n)                                                                                  \
	static inline uint64_t x86_read_cr##n(void)                                                \
	{                                                                                          \
		uint64_t v;                                                                        \
                                                                                                   \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) : : "memory");                     \
		return v;                                                                          \
	}                                                                                          \
	static inline void x86_write_cr##n(uint64_t v)                                             \
	{                                                                                          \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                         \
	}

X86_CR(0)
X86_CR(2)
X86_CR(3)
X86_CR(4)

#define X86_DR(n)                                                                                  \
	static inline uint64_t x86_read_dr##n(void)                                                \
	{                                                                                          \
		uint64_t v;                                                                        \
                                                                                                   \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(v) : : "memory");                     \
		return v;                                                                          \
	}                                                                                          \
	static inline void x86_write_dr##n(uint64_t v)                                             \
	{                                                                                          \
		__asm__ volatile("mov %0, %%dr" #n : : "r"(v) : "memory");                         \
	}

X86_DR(0)
X86_DR(1)
X86_DR(2)
X86_DR(3)
X86_DR(6)

/* Lets pending interrupts in, for one instruction. */
static inline void x86_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/* Sleeps until the next interrupt, and takes it. STI's shadow makes the pair atomic. */
static inline void x86_sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline _Noreturn void x86_stop(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

#define MSR_TSC             0x10
#define MSR_APIC_BASE       0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_SYSENTER_CS     0x174
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_PAT             0x277
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_FMASK           0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_PG (1u << 31)

#define RFLAGS_TF (1u << 8)
#define RFLAGS_IF (1u << 9)
#define RFLAGS_RF (1u << 16)

#define DR6_BS      (1u << 14) /* a single step */
#define DR7_ENABLED 0xffu      /* breakpoints: locally, globally */
#define DR7_GD      (1u << 13) /* the next MOV of a debug register raises #DB */

#define CR4_DE         (1u << 3)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_LA57       (1u << 12)
#define CR4_VMXE       (1u << 13)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)

#define EFER_SCE  (1u << 0)
#define EFER_LME  (1u << 8)
#define EFER_LMA  (1u << 10)
#define EFER_NXE  (1u << 11)
#define EFER_SVME (1u << 12)

#endif
