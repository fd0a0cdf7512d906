/* SPDX-License-Identifier: MIT */
/*
 * Answers a guest's CPUID: each word has the bits of the machine's own answer that a table allows,
 * with a reason for each, and no others. A guest that uses what it is told meets no exception.
 * Leaves outside of the table are 0. Pure.
 */
#ifndef HV_CPUID_H
#define HV_CPUID_H

#include "mm/x86.h"

#define CPUID_LEAF_MAX     7u
#define CPUID_SYSTEM_MAX   0xdu /* of cpuid_tell_system() */
#define CPUID_EXTENDED_MAX 0x80000008u

/**
 * cpuid_tell() - the answer to one leaf below the hypervisors' own (0x40000000).
 * @machine: the CPU's answer to the same question.
 * @ras_ebx: EBX of leaf 0x80000007, from hv/cpu/mca.h.
 */
struct cpuid cpuid_tell(uint32_t leaf, uint32_t subleaf, struct cpuid machine, uint32_t ras_ebx);

/* A vCPU of a guest that is a whole system: what the answers depend on beside the machine. */
struct cpuid_system {
	uint32_t apic_id;
	unsigned int nvcpus;
	uint64_t components; /* of XSAVE, that a guest may have; 0: no XSAVE */
	uint64_t xcr0;
	bool even_tsc; /* it counts evenly, whatever the machine says */
};

#define CPUID_OSXSAVE (1u << 27) /* leaf 1 ECX: CR4.OSXSAVE, the one bit of it that can change */

/* Answers to subleaf 0 of the leaves from 0 and from 0x80000000 on. None of them changes but for
 * that bit; the leaf of XSAVE, which is behind the last of them, does. */
struct cpuid_kept {
	struct cpuid answer[2][CPUID_SYSTEM_MAX];
};

/* The same for such a vCPU: it has a local APIC in x2APIC mode, XSAVE and AVX, and neighbours. */
struct cpuid cpuid_tell_system(uint32_t leaf, uint32_t subleaf, struct cpuid machine,
			       uint32_t ras_ebx, const struct cpuid_system *system);

#endif
