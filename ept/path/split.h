/* SPDX-License-Identifier: MIT */
/* Steps of a split, for the files of ept/ that must make something small. */
#ifndef EPT_PATH_SPLIT_H
#define EPT_PATH_SPLIT_H

#include "ept/tree/slot.h"

/* As ept_split(), but also splits poison, waits for pages that are being filled, and returns 0
 * where nothing is mapped (any more). */
int must_check split_anything(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
			      struct ept_gather *g);

/* One step of a split. 0: look again (it is split, by this call or another's); EPT_NO_TABLE. */
int must_check split_absent(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, enum ept_why why);

#endif
