/* SPDX-License-Identifier: MIT */
/* What is mapped in a range, and tables that map nothing. */
#ifndef EPT_OPS_MAP_H
#define EPT_OPS_MAP_H

#include "ept/ept.h"

/* Is anything but empty tables in the range? */
bool anything_mapped(const struct ept *ept, gfn_t gfn, uint64_t frames);

/* Unlinks the tables that are empty and map something of the range: no table stays that maps
 * nothing, so the next map gets the largest leaves. May flush. */
void drop_tables(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g);

#endif
