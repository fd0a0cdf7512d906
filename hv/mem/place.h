/* SPDX-License-Identifier: MIT */
/* Placing what a source has sent: pages, runs, large pieces, losses. */
#ifndef HV_MEM_PLACE_H
#define HV_MEM_PLACE_H

#include "hv/mem/fill.h"

/* What the source has sent, urgent answers first, or only these. False: nothing. Boot CPU only. */
bool must_check pager_take(struct memory *mem, bool urgent_only, struct page_answer *answer);

/* Places what the source sent, in the largest pieces that fit. Between two steps of 64 KiB of a
 * large piece it serves urgent answers. */
void pager_place(struct memory *mem, unsigned int cpu, const struct page_reply *reply);

/* Places one piece of a run that needs no copying, the largest that fits before `end`. Returns
 * where to go on. */
gfn_t pager_place_run(struct memory *mem, unsigned int cpu, gfn_t gfn, gfn_t end,
		      const struct page_reply *reply);

/* --- for the pager: within a fault ---------------------------------------------------------- */

/* The page is lost at the source, so it is lost here, unless the guest has it already. Returns
 * EPT_LOST, or why it was not absent. Flush: none. */
int must_check place_lost(struct memory *mem, unsigned int cpu, gfn_t gfn);

/* One page of a piece that the source has whole. Return: as fill_page(). */
int must_check place_part(struct memory *mem, unsigned int cpu, gfn_t gfn, enum fill_why why);

/* All of it, in the largest pieces that fit; in smaller ones where part of it is here, or is lost.
 * Return: 0, or -ENOMEM if a part found no table page. */
int must_check place_whole(struct memory *mem, unsigned int cpu, const struct page_reply *reply,
			   enum fill_why why);

#endif
