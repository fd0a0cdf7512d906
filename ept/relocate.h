/* SPDX-License-Identifier: MIT */
/*
 * Another frame for what is present: backing that moves under load, copies of what is shared, and
 * scattered pages that go to one fresh large frame, to collapse there.
 *
 *	ept_freeze()	accesses wait from now on
 *	ept_sync()	nobody reaches the old frame any more
 *	copy
 *	ept_thaw()	with the new frame; or with the old one, where it turned out otherwise
 *
 * Several may be frozen for one flush: accesses to all of them wait as long. Between ept_freeze()
 * and ept_thaw() the caller waits for nobody who may wait for the page.
 */
#ifndef EPT_RELOCATE_H
#define EPT_RELOCATE_H

#include "ept/ept.h"

struct ept_frozen {
	_Atomic uint64_t *slot;
	struct ept_table *table;
	struct ept_state was; /* as it was present: frame, rights, accessed, dirty */
	gfn_t gfn;
};

/**
 * ept_freeze() - take what is present at gfn away from everybody, in a piece of `level`; larger
 * leaves are split.
 * @gfn: aligned to the level
 * @why: kept in tables that the split needs
 * Return: 0 and *f, whose f->was.frame is the frame to copy from; EPT_NOT_HERE: not here yet, or
 * being filled; EPT_SMALLER: smaller pieces are there; EPT_BUSY: frozen already; EPT_LOST;
 * EPT_UNMAPPED; EPT_INVALID; EPT_NO_TABLE.
 * Flush: owed, before the copy.
 */
int must_check ept_freeze(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
			  struct ept_frozen *f, struct ept_gather *g);

/**
 * ept_thaw() - what was frozen is present again, on this frame, with all else as it was; on another
 * frame than before it is the address space's own.
 * @frame: aligned to the level of the piece, of the same contents
 * Return: true if its table is complete by it: ready to collapse to f->was.level + 1.
 * Flush: none.
 */
bool ept_thaw(struct ept_cpu *me, const struct ept_frozen *f, hpa_t frame);

/* The frame need not be copied: nobody else uses it any more. Return: as ept_thaw(). */
bool ept_thaw_owned(struct ept_cpu *me, const struct ept_frozen *f);

#endif
