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
#define CPUID_EXTENDED_MAX 0x80000008u

/**
 * cpuid_tell() - the answer to one leaf below the hypervisors' own (0x40000000).
 * @machine: the CPU's answer to the same question.
 * @ras_ebx: EBX of leaf 0x80000007, from hv/cpu/mca.h.
 */
struct cpuid cpuid_tell(uint32_t leaf, uint32_t subleaf, struct cpuid machine, uint32_t ras_ebx);

#endif
