/* SPDX-License-Identifier: MIT */
/* The allow-list of CPUID: see hv/cpu/cpuid.h. Bits: SDM vol. 2, CPUID; APM vol. 3, appendix E. */
#include "hv/cpu/cpuid.h"

#define BIT(n) (1u << (n))
#define ALL    UINT32_MAX

/* Always set, whatever the machine says. */
#define HYPERVISOR BIT(31)            /* leaf 1 ECX */
#define MCE_MCA    (BIT(7) | BIT(14)) /* leaf 1 EDX: hv/cpu/mca.c has their MSRs */

#define CLFLUSH_SIZE 0xff00u /* of leaf 1 EBX; the others count CPUs and APICs */

/* SSE3, PCLMULQDQ, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT: registers that FXSAVE has, or
 * none. Not: MONITOR, VMX, SMX, PCID, x2APIC, the TSC deadline (they exit, or are off); FMA, XSAVE,
 * AVX, F16C (state that is not switched); AES, RDRAND (no payload asks). */
#define LEAF1_ECX (BIT(0) | BIT(1) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23))

/* FPU, VME, DE, PSE, TSC, MSR, PAE; CX8, SEP, PGE; CMOV, PAT, CLFSH; MMX, FXSR, SSE, SSE2. CR4
 * takes what belongs to them (hv/cpu/control.c), the MSRs of SEP pass, those of TSC and PAT are
 * emulated. Not: APIC, MTRR, DS, ACPI, HTT, TM (none of it is there). */
#define LEAF1_EDX                                                                                  \
	(BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(11) |         \
	 BIT(13) | BIT(15) | BIT(16) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))

/* SMEP, BMI2, ERMS, ADX, SMAP. Not: FSGSBASE (CR4 does not take it), TSC_ADJUST (MSR), INVPCID,
 * SGX, AVX2 and AVX-512, MPX, PT. ECX and EDX: what has no state of its own needs CR4 or MSRs. */
#define LEAF7_EBX (BIT(7) | BIT(8) | BIT(9) | BIT(19) | BIT(20))

/* LAHF, ABM (LZCNT), PREFETCHW. Not: SVM, IBS, XOP, FMA4, topology, performance counters, MWAITX.
 */
#define EXTENDED1_ECX (BIT(0) | BIT(5) | BIT(8))

/* SYSCALL, NX, pages of 1 GiB, long mode. Not: RDTSCP (exits). AMD repeats leaf 1 here: not told.
 */
#define EXTENDED1_EDX (BIT(11) | BIT(20) | BIT(26) | BIT(29))

/* Physical and linear address bits. EBX is feature bits whose MSRs exit, or whose instructions do
 * (IBPB, STIBP, SSBD, WBNOINVD, RDPRU, INVLPGB ..): none is told. ECX counts CPUs. */
#define ADDRESS_BITS 0xffffu
#define LINEAR_BITS  (48u << 8) /* CR4 does not take LA57 */

/* The leaves from 0 on, and those from 0x80000000 on: subleaf 0 of each. */
#define RANGE(leaf)  ((leaf) >= BIT(31))
#define NUMBER(leaf) ((leaf) & ~BIT(31))

#define LEAF(leaf, a, b, c, d) [RANGE(leaf)][NUMBER(leaf)] = { (a), (b), (c), (d) }

static const struct cpuid told[2][9] = {
	LEAF(0x00, ALL, ALL, ALL, ALL), /* the largest leaf; the maker's name */
	LEAF(0x01, ALL, CLFLUSH_SIZE, LEAF1_ECX, LEAF1_EDX), /* EAX: family, model, stepping */
	LEAF(0x07, 0, LEAF7_EBX, 0, 0),
	LEAF(0x80000000, ALL, ALL, ALL, ALL),                   /* as leaf 0 */
	LEAF(0x80000001, ALL, 0, EXTENDED1_ECX, EXTENDED1_EDX), /* EAX as leaf 1 */
	LEAF(0x80000002, ALL, ALL, ALL, ALL),                   /* the brand's name, 48 letters */
	LEAF(0x80000003, ALL, ALL, ALL, ALL),
	LEAF(0x80000004, ALL, ALL, ALL, ALL),
	LEAF(0x80000008, ADDRESS_BITS, 0, 0, 0),
};

static struct cpuid masked(uint32_t leaf, struct cpuid machine)
{
	const struct cpuid *mask;

	if (NUMBER(leaf) >= ARRAY_LEN(told[0]))
		return (struct cpuid){ 0 };
	mask = &told[RANGE(leaf)][NUMBER(leaf)];
	return (struct cpuid){ machine.eax & mask->eax, machine.ebx & mask->ebx,
			       machine.ecx & mask->ecx, machine.edx & mask->edx };
}

static bool has_subleaves(uint32_t leaf)
{
	return leaf == 7;
}

struct cpuid cpuid_tell(uint32_t leaf, uint32_t subleaf, struct cpuid machine, uint32_t ras_ebx)
{
	struct cpuid c = { 0 };

	if (!has_subleaves(leaf) || subleaf == 0)
		c = masked(leaf, machine);
	switch (leaf) {
	case 0:
		c.eax = MIN(c.eax, CPUID_LEAF_MAX);
		return c;
	case 1:
		c.ecx |= HYPERVISOR;
		c.edx |= MCE_MCA;
		return c;
	case 0x80000000:
		c.eax = MIN(c.eax, CPUID_EXTENDED_MAX);
		return c;
	case 0x80000007: /* machine checks that can be recovered from */
		c.ebx = ras_ebx;
		return c;
	case 0x80000008:
		c.eax = (c.eax & 0xff) | MIN(c.eax & 0xff00, LINEAR_BITS);
		return c;
	default:
		return c;
	}
}
