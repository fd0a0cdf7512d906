/* SPDX-License-Identifier: MIT */
/* Collapse that copies where it must, as khugepaged does. */
#ifndef HV_MEM_COLLAPSE_COPY_H
#define HV_MEM_COLLAPSE_COPY_H

#include "hv/mem/memory.h"

/**
 * mem_collapse_copy() - collapse what is mapped at gfn to one leaf of `level`, also if that takes
 * copies: of private pages, and of memory that began on scattered frames. They go to a fresh block,
 * or back to the range's own if nobody else refers to that. Without need nothing is copied.
 * Accesses wait for no more than EPT_FROZEN_MAX pieces.
 * @gfn: aligned to the level
 * @level: PG_LEVEL_2M or above, at the most the largest leaf: see mem_allow_leaves()
 * Return: how many tables went away; 0: nothing to do; or a refusal (ept/refusal.h): EPT_BUSY,
 * EPT_HOLE, EPT_LOST, EPT_MIXED, EPT_EXECUTED; -EINVAL: not supported: level, alignment, or memory
 * that another VM also writes to; -ENOMEM: no such block. All but the last three may come after
 * part of it was copied: then that part stays where it is now, and the same call goes on from
 * there.
 */
int must_check mem_collapse_copy(struct memory *mem, gfn_t gfn, enum pg_level level);

/* From now on leaves up to this level are made, as far as the CPU has them; for a VM whose backing
 * began smaller. */
void mem_allow_leaves(struct memory *mem, enum pg_level level);

#endif
