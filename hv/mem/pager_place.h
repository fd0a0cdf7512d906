/* SPDX-License-Identifier: MIT */
/* Placing, for the files of the pager alone: pager.c, where vCPUs fault, and pager_place.c. */
#ifndef HV_PAGER_PLACE_H
#define HV_PAGER_PLACE_H

#include "hv/mem/pager.h"

/* Only its own CPU writes a counter: no locked instruction. */
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

/* The range of the level above `level` that holds gfn has just become complete: it collapses, or
 * waits for the budget, as the policy says. */
void pager_complete(struct pager *p, unsigned int cpu, gfn_t gfn, enum pg_level level);

/* One piece that was not faulted for, with the contents that the reply says. Returns what
 * ept_fill() says. */
int must_check pager_place_piece(struct pager *p, unsigned int cpu, gfn_t gfn, enum pg_level level,
				 const struct page_reply *reply);

/* A reply that says zeros. */
extern const struct page_reply pager_zeros;

#endif
