/* SPDX-License-Identifier: MIT */
/* Collapse that copies where it must, as khugepaged does. */
#ifndef HV_MEM_COLLAPSE_COPY_H
#define HV_MEM_COLLAPSE_COPY_H

#include "hv/mem/memory.h"

/**
 * mem_collapse_copy() - collapse what is mapped at gfn to one leaf of `level`; copy private pages
 * and scattered frames if necessary. The copies go to a fresh block, or back to the range's own
 * block if nobody else refers to it. Accesses wait for at most EPT_FROZEN_MAX pieces.
 * @gfn: aligned to the level
 * @level: PG_LEVEL_2M or above, up to the largest leaf: see mem_allow_leaves()
 * Return: the number of tables that went away; 0: nothing to do; or a refusal: EPT_BUSY, EPT_HOLE,
 * EPT_LOST, EPT_MIXED, EPT_EXECUTED; -EINVAL: bad level or alignment, or another VM writes to the
 * same memory; -ENOMEM: no such block, nothing is copied. After any other refusal part may be
 * copied and stays so; the same call again goes on from there.
 * Flush: made.
 */
int must_check mem_collapse_copy(struct memory *mem, gfn_t gfn, enum pg_level level);

/* Allows leaves up to this level, if the CPU has them, in a VM whose backing began smaller. */
void mem_allow_leaves(struct memory *mem, enum pg_level level);

#endif
