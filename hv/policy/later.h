/* SPDX-License-Identifier: MIT */
/*
 * Complete ranges that shall collapse later, for the policies that put collapses off. Any CPU puts
 * a range here; the boot CPU collapses it. A bit for each 2 MiB: a range waits once, and none is
 * forgotten, however many wait.
 */
#ifndef HV_POLICY_LATER_H
#define HV_POLICY_LATER_H

#include <stdatomic.h>

#include "hv/mem/memory.h"

#define LATER_RANGES (512 * GIB / (2 * MIB)) /* of the largest memory */

struct later {
	struct memory *mem;       /* whose ranges wait: one memory at a time */
	_Atomic uint64_t waiting; /* bits that are set */
	_Atomic uint64_t word[LATER_RANGES / 64];
};

/* Nothing waits. Call it before another CPU uses this memory. */
void later_begin(struct later *l, struct memory *mem);

/* A range of 2 MiB or 1 GiB around gfn waits. One of another memory collapses at once. Flush: owed
 * then, through mem->gather[cpu]. */
void later_put(struct later *l, struct memory *mem, unsigned int cpu, gfn_t gfn);

/* Does anything wait? */
bool later_any(const struct later *l, const struct memory *mem);

/* Collapses the first range of [from, end) that waits. False: none does. Boot CPU only. Flush:
 * owed, through mem->gather[cpu]. */
bool later_collapse(struct later *l, unsigned int cpu, gfn_t from, gfn_t end);

#endif
