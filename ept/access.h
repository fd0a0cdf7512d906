/* SPDX-License-Identifier: MIT */
/*
 * Accesses: what a guest's access needs that its page does not let it do, and accesses of the
 * hypervisor's own to guest memory.
 */
#ifndef EPT_ACCESS_H
#define EPT_ACCESS_H

#include "ept/ept.h"

/**
 * ept_resolve() - a guest's access hit a page that is present, or was. Grants what was withheld: a
 * write under dirty tracking is noted, an executed large leaf is split.
 * @access: of EPT_R, EPT_W, EPT_X, what the access was
 * Return: 0: to be made again (it was resolved, by this call or another's); EPT_FORBIDDEN: the
 * guest may not; EPT_FOREIGN: the frame is not its own, it needs a copy: see ept/relocate.h;
 * EPT_NOT_HERE: not here; EPT_BUSY: frozen, wait; EPT_LOST; EPT_UNMAPPED; EPT_NO_TABLE: to be made
 * again when there are tables.
 * Flush: as ept_split().
 */
int must_check ept_resolve(struct ept_cpu *me, gfn_t gfn, unsigned int access,
			   struct ept_gather *g);

/**
 * ept_reach() - where the hypervisor finds a guest's page, for an access of its own. Notes it as
 * the hardware would: accessed, and dirty for EPT_W, with what dirty tracking wants.
 * @access: EPT_R or EPT_W
 * @at: address of the 4 KiB page; it stays the page's until this CPU next stands outside of the
 * second stage (a flush waits for that)
 * Return: 0; EPT_NOT_HERE: not here yet: ept_request(), and again later; EPT_DISCARDED: it was
 * discarded, and is zeros: ept_fill_zero() first; otherwise as ept_resolve().
 * Flush: as ept_split().
 */
int must_check ept_reach(struct ept_cpu *me, gfn_t gfn, unsigned int access, hpa_t *at,
			 struct ept_gather *g);

#endif
