/* SPDX-License-Identifier: MIT */
/* Collapsing in place, timed and counted. */
#ifndef HV_MEM_COLLAPSE_H
#define HV_MEM_COLLAPSE_H

#include "hv/mem/memory.h"

/* Collapses the range of `level` that contains gfn, if it can be, and what becomes complete above
 * it. Flush: owed, through the CPU's gather. */
void mem_collapse(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level);

/* Collapses all that can be, in the whole memory. Returns how many tables went away. The flush is
 * made. */
uint64_t mem_collapse_all(struct memory *mem, unsigned int cpu);

#endif
