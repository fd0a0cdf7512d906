/* SPDX-License-Identifier: MIT */
/* The instructions of the architecture that C cannot say. Root mode only. */
#ifndef MM_X86_H
#define MM_X86_H

#include "mm/types.h"
#include "mm/x86_bits.h"

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
	uint64_t lo, hi; /* it clears the upper halves of RAX and RDX */

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return hi << 32 | lo;
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

static inline uint64_t x86_xgetbv(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static inline void x86_xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

/* @image: of 64 bytes' alignment. @components: as XCR0 has them. x86_xrstor(): all of XCR0's. */
static inline void x86_xsave(uint8_t *image, uint64_t components)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(image), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
}

static inline void x86_xrstor(const uint8_t *image)
{
	__asm__ volatile("fninit\n\txrstor64 (%0)"
			 :
			 : "r"(image), "a"(UINT32_MAX), "d"(UINT32_MAX)
			 : "memory");
}

static inline void x86_fxsave(uint8_t *image)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

static inline void x86_fxrstor(const uint8_t *image)
{
	__asm__ volatile("fninit\n\tfxrstor64 (%0)" : : "r"(image) : "memory");
}

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

#endif
