/* SPDX-License-Identifier: MIT */
/*
 * Moving a VM's memory while its vCPUs run: to other frames, to other guest addresses. An access to
 * a page that is just being moved waits.
 *
 * The old frame is freed if nobody else refers to it. A block stays with the memory while a part of
 * it is in use.
 */
#ifndef HV_MEM_RELOCATE_H
#define HV_MEM_RELOCATE_H

#include "hv/mem/memory.h"

/**
 * mem_relocate() - move a present piece of `level` at gfn to the frames at `to`; split a larger
 * leaf first.
 * @gfn: aligned to the level
 * @to: a block of that level from frame_alloc(), owned by the VM on success; or the frames where
 * the piece is already: nothing to do
 * Return: 0; -EINVAL: above 2 MiB, not aligned, or another VM writes to the same memory; EPT_BUSY:
 * call mem_pass(), then try again; EPT_NOT_HERE; EPT_SMALLER: use a lower level; EPT_LOST;
 * EPT_UNMAPPED; -ENOMEM. After an error the caller still owns `to`. Flush: made.
 */
int must_check mem_relocate(struct memory *mem, gfn_t gfn, enum pg_level level, hpa_t to);

/**
 * mem_move() - as ept_move(), and lookups follow. The VM's memory grows if the new addresses lie
 * behind its end. Sync all collapses inside `from` first: see ept_move() in ept/range.h.
 * Return: 0; EPT_INVALID, EPT_HERE, EPT_NO_TABLE: see ept_move(); -ENOMEM: no frame to note the
 * move. Flush: made.
 */
int must_check mem_move(struct memory *mem, gfn_t from, gfn_t to, uint64_t frames);

#endif
