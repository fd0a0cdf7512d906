/* SPDX-License-Identifier: MIT */
/*
 * The one loop of all that changes a range: what reaches across its edges becomes smaller, then
 * each entry in it is changed. For the files of ept/ alone.
 */
#ifndef EPT_OPS_EACH_H
#define EPT_OPS_EACH_H

#include "ept/tree/slot.h"

struct change {
	enum ept_why why; /* kept in tables that the edges need */
	/*
	 * Changes one slot, which holds no table and begins at gfn. 0: done with it;
	 * EPT_LOOK_AGAIN: look again; anything else ends the whole. What is being filled is waited
	 * for, with EPT_LOOK_AGAIN.
	 */
	int (*slot)(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, const struct change *c,
		    struct ept_gather *g);
	unsigned int perms;
	gfn_t to; /* where the range goes */
};

/**
 * change_each() - do the change to all of [gfn, gfn + frames).
 * Return: 0; EPT_INVALID for a range outside the address space or empty; EPT_NO_TABLE, EPT_BUSY
 * (something is frozen): nothing was changed, unless other CPUs split, collapsed or froze
 * meanwhile; or what the change says.
 */
int must_check change_each(struct ept_cpu *me, gfn_t gfn, uint64_t frames, const struct change *c,
			   struct ept_gather *g);

#endif
