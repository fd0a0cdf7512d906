/* SPDX-License-Identifier: MIT */
/* Placing what a source has sent: pages, runs, large pieces, losses. */
#ifndef HV_MEM_PLACE_H
#define HV_MEM_PLACE_H

#include "hv/mem/fill.h"

/* Takes the source's next answer, urgent ones first, or only these. False: none has come. Boot CPU
 * only. */
bool must_check pager_take(struct memory *mem, bool urgent_only, struct page_answer *answer);

/* Places an answer in the largest pieces that fit. Serves urgent answers after each 64 KiB of a
 * large piece. Flush: owed if a range collapsed, through mem->gather[cpu]. */
void pager_place(struct memory *mem, unsigned int cpu, const struct page_reply *reply);

/* Places one piece of a run, the largest at gfn that fits before `end` and goes. Returns where to
 * go on. */
gfn_t pager_place_run(struct memory *mem, unsigned int cpu, gfn_t gfn, gfn_t end,
		      const struct page_reply *reply);

/* --- for the pager: within a fault ---------------------------------------------------------- */

/* Poisons the page, which the source has lost, unless the guest has it already. Returns EPT_LOST,
 * or why the page was not absent; EPT_DISCARDED: the guest has given it back. Flush: none. */
int must_check place_lost(struct memory *mem, unsigned int cpu, gfn_t gfn);

/* Places one page of a piece that the source has whole. Return: as fill_page(). */
int must_check place_part(struct memory *mem, unsigned int cpu, gfn_t gfn, enum fill_why why);

/* Places all of a whole piece or of a run, in the largest pieces that fit; in smaller ones where
 * part of it is here or lost. Return: 0, or -ENOMEM if a part found no table page. */
int must_check place_pieces(struct memory *mem, unsigned int cpu, const struct page_reply *reply,
			    enum fill_why why);

#endif
