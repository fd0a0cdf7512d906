/* SPDX-License-Identifier: MIT */
/*
 * The iterator: visits every slot that covers part of a range, from left to right, a table before
 * what is in it. Each step shows a snapshot; the slot may change meanwhile, and the tables that the
 * iterator stands in stay readable until its CPU returns from the second stage. What lies outside
 * of the address space is not visited.
 *
 *	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_4K);
 *
 *	while (ept_iter_next(&it))
 *		... it.gfn, it.slot.level, it.slot.entry ...
 */
#ifndef EPT_TREE_ITER_H
#define EPT_TREE_ITER_H

#include "ept/tree/slot.h"

struct ept_iter {
	struct ept_slot slot; /* where it stands */
	gfn_t gfn;            /* first frame that the slot maps */

	const struct ept *ept;
	gfn_t start;
	gfn_t end;
	enum pg_level min; /* tables at this level are not entered */
	bool begun;
	hpa_t table[PG_LEVEL_MAX]; /* the table of each level on the way */
};

struct ept_iter ept_iter(const struct ept *ept, gfn_t gfn, uint64_t frames, enum pg_level min);
bool ept_iter_next(struct ept_iter *it);

static inline enum ept_kind ept_iter_kind(const struct ept_iter *it)
{
	return entry_kind(it->ept->fmt, it->slot.entry, it->slot.level);
}

/* Frames that the slot where it stands maps. */
static inline uint64_t ept_iter_frames(const struct ept_iter *it)
{
	return fmt_frames(it->ept->fmt, it->slot.level);
}

#endif
