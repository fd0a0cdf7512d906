/* SPDX-License-Identifier: MIT */
/* What one flush pays for, from the side of those who unlink tables. See ept_sync(). */
#ifndef EPT_TREE_GATHER_H
#define EPT_TREE_GATHER_H

#include "ept/tree/slot.h"

/* Room for one more table; may flush. The caller holds no lock. */
void gather_make_room(struct ept_gather *g);

/* A table that was unlinked at the slot of `level` that begins at gfn. */
void gather_table(struct ept_gather *g, hpa_t table, gfn_t gfn, enum pg_level level,
		  uint64_t seen_ad, bool harvest);

/* The slot of the table that was gathered last is frozen; it becomes `leaf` after the flush. */
void gather_frozen(struct ept_gather *g, const struct ept_slot *s, uint64_t leaf);

/* All accessed and dirty bits that stand in a table's entries, or-ed. */
uint64_t table_ad(const struct ept *ept, hpa_t table);

#endif
