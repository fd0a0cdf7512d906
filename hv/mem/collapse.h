/* SPDX-License-Identifier: MIT */
/* Collapsing in place, timed and counted. */
#ifndef HV_MEM_COLLAPSE_H
#define HV_MEM_COLLAPSE_H

#include "hv/mem/memory.h"

/* Collapses the range of `level` that contains gfn, if possible, and then what is complete above
 * it. Flush: owed, through mem->gather[cpu]. */
void mem_collapse(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level);

/* Collapses whatever is possible in the whole memory, and flushes. Returns the number of tables
 * that went away. */
uint64_t mem_collapse_all(struct memory *mem, unsigned int cpu);

#endif
