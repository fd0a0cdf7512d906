/* SPDX-License-Identifier: MIT */
/* Notes which pages are asked for because somebody waits for them, in that order. */
#ifndef HV_MEM_RECORDER_H
#define HV_MEM_RECORDER_H

#include <stdatomic.h>

#include "mm/types.h"

struct recorder {
	uint32_t *gfn;      /* the owner's; NULL: nothing is noted */
	uint32_t max;       /* room */
	_Atomic uint32_t n; /* noted, or more than `max`: the last ones are missing */
};

/* From any CPU. */
static inline void recorder_note(struct recorder *r, gfn_t gfn)
{
	uint32_t i;

	if (!r->gfn)
		return;
	/* Relaxed: the entries are read when no vCPU runs any more. */
	i = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
	if (i < r->max)
		r->gfn[i] = (uint32_t)gfn;
}

#endif
