/* SPDX-License-Identifier: MIT */
/* A private page gets a frame of its own: copy-on-write. */
#ifndef HV_MEM_OWN_H
#define HV_MEM_OWN_H

#include "hv/mem/memory.h"

/**
 * own_copy() - copy the private page at gfn to a frame of its own; keep the frame if nobody else
 * refers to it any more.
 * Return: 0; -ENOMEM: no frame; EPT_BUSY: the memory is being cloned; or as ept_freeze().
 * Flush: made.
 */
int must_check own_copy(struct memory *mem, unsigned int cpu, gfn_t gfn);

#endif
