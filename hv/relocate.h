/* SPDX-License-Identifier: MIT */
/*
 * Memory of a VM that moves while its vCPUs run: to other frames, to other guest addresses. An
 * access to what is just being moved waits.
 *
 * What these leave behind is the VM's no longer, and free if nobody else refers to it; but the rest
 * of a block of which something is still in use stays with it.
 */
#ifndef HV_RELOCATE_H
#define HV_RELOCATE_H

#include "hv/vm.h"

/**
 * vm_relocate() - what is present at gfn goes to the frames at `to`, in a piece of `level`; a
 * larger leaf is split.
 * @gfn: aligned to the level
 * @to: a block of that level, from frame_alloc(): the VM's on success; or where the piece is
 * already: nothing to do
 * Return: 0; -EINVAL: not supported: above 2 MiB, not aligned, or memory that another VM writes to,
 * as well; -EBUSY: somebody else is at work on it, let the CPUs pass; -EAGAIN: not here; -E2BIG:
 * smaller pieces are there; -EHWPOISON; -ENOENT; -ENOMEM. After an error `to` is still the
 * caller's.
 */
int must_check vm_relocate(struct vm *vm, gfn_t gfn, enum pg_level level, hpa_t to);

/**
 * vm_collapse_copy() - collapse what is mapped at gfn to one leaf of `level`, also if that takes
 * copies: of private pages, and of memory that began on scattered frames. They go to a fresh block,
 * or back to the range's own if nobody else refers to that. Without need nothing is copied.
 * Accesses wait for no more than EPT_FROZEN_MAX pieces.
 * @gfn: aligned to the level
 * @level: PG_LEVEL_2M or above, at the most the largest leaf: see vm_allow_leaves()
 * Return: how many tables went away; 0: nothing to do; or a refusal (ept/refusal.h): EPT_BUSY,
 * EPT_HOLE, EPT_LOST, EPT_MIXED, EPT_EXECUTED; -EINVAL: not supported: level, alignment, or memory
 * that another VM also writes to; -ENOMEM: no such block. All but the last three may come after
 * part of it was copied: then that part stays where it is now, and the same call goes on from
 * there.
 */
int must_check vm_collapse_copy(struct vm *vm, gfn_t gfn, enum pg_level level);

/* From now on leaves up to this level are made, as far as the CPU has them; for a VM whose backing
 * began smaller. */
void vm_allow_leaves(struct vm *vm, enum pg_level level);

/**
 * vm_move() - as ept_move(), and lookups follow. All CPUs have forgotten the old addresses. If the
 * new ones lie behind the end of the VM's memory, it ends behind them now.
 * Return: 0; -EINVAL, -EEXIST, -ENOMEM: see ept_move(); -ENOMEM also if the move could not be
 * noted.
 */
int must_check vm_move(struct vm *vm, gfn_t from, gfn_t to, uint64_t frames);

#endif
