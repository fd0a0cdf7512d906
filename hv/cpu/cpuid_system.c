/* SPDX-License-Identifier: MIT */
/*
 * What CPUID tells a vCPU of a whole system beyond the list for payloads: see hv/cpu/cpuid.h. What
 * keeps the promises: hv/platform/lapic.c and msrs.c the MSRs, hv/cpu/xstate.c the registers,
 * hv/cpu/control.c the bits of CR4. Bits: SDM vol. 2, CPUID; APM vol. 3, appendix E.
 */
#include "hv/cpu/cpuid.h"

#define BIT(n) (1u << (n))

/* AES, RDRAND; with YMM also FMA, AVX, F16C. */
#define LEAF1_ECX     (BIT(25) | BIT(30))
#define LEAF1_ECX_YMM (BIT(12) | BIT(28) | BIT(29))
#define X2APIC        BIT(21)
#define TSC_DEADLINE  BIT(24)
#define XSAVE         BIT(26)

/* The local APIC, MTRRs (none is there, but PAT is not used without), several threads. */
#define APIC BIT(9)
#define MTRR BIT(12)
#define HTT  BIT(28)

#define ARAT BIT(2) /* leaf 6: the APIC's timer never stops */

/* BMI1, RDSEED, CLFLUSHOPT, CLWB; with YMM also AVX2; with XMM SHA. Not: FSGSBASE, HLE, RTM,
 * INVPCID, PKU, SGX (CR4 does not take them, or they are off). */
#define LEAF7_EBX     (BIT(3) | BIT(18) | BIT(23) | BIT(24) | BIT(29))
#define LEAF7_EBX_YMM BIT(5)

/* XSAVEOPT, XGETBV with 1. Not XSAVES: nothing has state that a supervisor keeps. Not XSAVEC: in
 * Bochs 2.7 a Linux that used it took #GP from its XRSTOR; XSAVEOPT saves as little. */
#define XSAVE_KINDS  (BIT(0) | BIT(2))
#define YMM          BIT(2) /* of XCR0 */
#define LEGACY_BYTES (512 + 64)
#define YMM_BYTES    256

/* Where a hypervisor is below us, the TSC is its clock, whatever it says of it: it counts evenly.
 * Linux measures by jiffies on each CPU otherwise, with interrupts off. */
#define INVARIANT_TSC BIT(8)

#define THREADS 1u /* kinds of levels in leaf 0xb */
#define CORES   2u

/* Bits of an APIC ID that number the vCPUs. */
static uint32_t id_bits(const struct cpuid_system *s)
{
	return s->nvcpus > 1 ? 32 - (uint32_t)__builtin_clz(s->nvcpus - 1) : 0;
}

static void tell_features(struct cpuid *c, const struct cpuid *machine,
			  const struct cpuid_system *s)
{
	uint32_t may = LEAF1_ECX | (s->components & YMM ? LEAF1_ECX_YMM : 0);

	c->ebx |= s->apic_id << 24 | s->nvcpus << 16;
	c->ecx |= (machine->ecx & may) | X2APIC | TSC_DEADLINE;
	if (s->components)
		c->ecx |= XSAVE; /* OSXSAVE is the caller's: it says what CR4 says now */
	c->edx |= APIC | MTRR | (s->nvcpus > 1 ? HTT : 0);
}

/* One thread in each core, all cores in one package. */
static struct cpuid tell_topology(uint32_t subleaf, const struct cpuid_system *s)
{
	struct cpuid c = { .ecx = subleaf & 0xff, .edx = s->apic_id };

	if (subleaf == 0) {
		c.ebx = 1;
		c.ecx |= THREADS << 8;
	} else if (subleaf == 1) {
		c.eax = id_bits(s);
		c.ebx = s->nvcpus;
		c.ecx |= CORES << 8;
	}
	return c;
}

static uint32_t area_bytes(uint64_t components)
{
	return LEGACY_BYTES + (components & YMM ? YMM_BYTES : 0);
}

static struct cpuid tell_xsave(uint32_t subleaf, const struct cpuid *machine,
			       const struct cpuid_system *s)
{
	if (!s->components)
		return (struct cpuid){ 0 };
	switch (subleaf) {
	case 0:
		return (struct cpuid){ .eax = (uint32_t)s->components,
				       .ebx = area_bytes(s->xcr0),
				       .ecx = area_bytes(s->components) };
	case 1:
		return (struct cpuid){ .eax = machine->eax & XSAVE_KINDS };
	case 2:
		return s->components & YMM ? (struct cpuid){ .eax = YMM_BYTES, .ebx = LEGACY_BYTES }
					   : (struct cpuid){ 0 };
	default:
		return (struct cpuid){ 0 };
	}
}

struct cpuid cpuid_tell_system(uint32_t leaf, uint32_t subleaf, struct cpuid machine,
			       uint32_t ras_ebx, const struct cpuid_system *s)
{
	struct cpuid c = cpuid_tell(leaf, subleaf, machine, ras_ebx);

	switch (leaf) {
	case 0:
		c.eax = MIN(machine.eax, CPUID_SYSTEM_MAX);
		return c;
	case 1:
		tell_features(&c, &machine, s);
		return c;
	case 6:
		c.eax = ARAT;
		return c;
	case 7:
		if (!subleaf)
			c.ebx |= machine.ebx &
				 (LEAF7_EBX | (s->components & YMM ? LEAF7_EBX_YMM : 0));
		return c;
	case 0xb:
		return tell_topology(subleaf, s);
	case 0xd:
		return tell_xsave(subleaf, &machine, s);
	case 0x80000007:
		c.edx = s->even_tsc ? INVARIANT_TSC : machine.edx & INVARIANT_TSC;
		return c;
	case 0x80000008:
		c.ecx = (s->nvcpus - 1) | id_bits(s) << 12;
		return c;
	default:
		return c;
	}
}
