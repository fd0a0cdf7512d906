/* SPDX-License-Identifier: MIT */
/* A private page gets a frame of its own: copy-on-write. */
#ifndef HV_MEM_OWN_H
#define HV_MEM_OWN_H

#include "hv/mem/memory.h"

/**
 * own_copy() - the page at gfn, which is private, gets a frame of its own, with the same
 * contents; or keeps the one that it has, if nobody else refers to that any more.
 * Return: 0; -ENOMEM; EPT_BUSY: the memory is being cloned; or why it could not be frozen: see
 * ept_freeze().
 */
int must_check own_copy(struct memory *mem, unsigned int cpu, gfn_t gfn);

#endif
