/* SPDX-License-Identifier: MIT */
/*
 * What a guest is told of its CPU: of each word of CPUID those bits of the machine's own answer
 * that stand in a table, each with its reason, and nothing else. What is told works: a guest that
 * acts on it meets no exception. Leaves that the table does not have are 0. Pure.
 */
#ifndef HV_CPUID_H
#define HV_CPUID_H

#include "mm/x86.h"

#define CPUID_LEAF_MAX     7u
#define CPUID_EXTENDED_MAX 0x80000008u

/**
 * cpuid_tell() - the answer to one leaf below the hypervisors' own (0x40000000).
 * @machine: the CPU's answer to the same question.
 * @ras_ebx: of leaf 0x80000007, what machine checks (hv/cpu/mca.h) allow to be said.
 */
struct cpuid cpuid_tell(uint32_t leaf, uint32_t subleaf, struct cpuid machine, uint32_t ras_ebx);

#endif
