/* SPDX-License-Identifier: MIT */
/*
 * Memory of a VM that moves while its vCPUs run: to other frames, to other guest addresses. An
 * access to what is just being moved waits.
 *
 * A frame that is left behind is freed if nobody else refers to it. A block of which a part is
 * still in use stays with the memory.
 */
#ifndef HV_MEM_RELOCATE_H
#define HV_MEM_RELOCATE_H

#include "hv/mem/memory.h"

/**
 * mem_relocate() - what is present at gfn goes to the frames at `to`, in a piece of `level`; a
 * larger leaf is split.
 * @gfn: aligned to the level
 * @to: a block of that level, from frame_alloc(): the VM's on success; or where the piece is
 * already: nothing to do
 * Return: 0; -EINVAL: not supported: above 2 MiB, not aligned, or memory that another VM writes to,
 * as well; EPT_BUSY: somebody else is at work on it, let the CPUs pass; EPT_NOT_HERE: not here;
 * EPT_SMALLER: smaller pieces are there; EPT_LOST; EPT_UNMAPPED; -ENOMEM. After an error `to` is
 * still the caller's.
 */
int must_check mem_relocate(struct memory *mem, gfn_t gfn, enum pg_level level, hpa_t to);

/**
 * mem_move() - as ept_move(), and lookups follow. All CPUs have forgotten the old addresses. If the
 * new ones lie behind the end of the VM's memory, it ends behind them now.
 * Return: 0; -EINVAL, EPT_HERE, -ENOMEM: see ept_move(); -ENOMEM also if the move could not be
 * noted.
 */
int must_check mem_move(struct memory *mem, gfn_t from, gfn_t to, uint64_t frames);

#endif
