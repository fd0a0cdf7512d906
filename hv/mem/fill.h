/* SPDX-License-Identifier: MIT */
/*
 * Placing a page: the one way in which absent memory becomes present. Claims it, writes its
 * contents, publishes and counts it, and tells the policy if its range is complete.
 */
#ifndef HV_MEM_FILL_H
#define HV_MEM_FILL_H

#include "hv/base/clock.h"
#include "hv/base/trace.h"
#include "hv/mem/copy.h"
#include "hv/mem/memory.h"
#include "hv/policy/policy.h"
#include "hv/source/source.h"
#include "mm/err.h"
#include "mm/machine.h"

/* Why a page is placed decides how it is counted. */
enum fill_why {
	FILL_FAULT,  /* within a vCPU's fault: the source has it at hand */
	FILL_ANSWER, /* the source sent it, requested or not */
	FILL_AGAIN,  /* it was discarded, and somebody touches it: zeros */
	FILL_LOAD,   /* for a payload's image: no arrival */
};

#define FILL_STEP 16 /* pages written between two looks for urgent answers */

/* A reply that says zeros. */
extern const struct page_reply fill_zeros;

/**
 * fill_page() - place one page.
 * @cpu: this one
 * @gfn: aligned to the level
 * @contents: zeros for FILL_AGAIN and FILL_LOAD
 * @begin: TSC when the work for it began
 * Return: 0, or as ept_fill(); -ENOMEM also if a private page found no frame; EPT_LOST also if the
 * source has lost part of a large piece: place smaller ones; EPT_SMALLER also if another memory
 * owns the frames of a large piece.
 * Flush: owed if a range collapsed, through mem->gather[cpu].
 */
int must_check fill_page(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level,
			 const struct page_reply *contents, enum fill_why why, uint64_t begin);

/* --- for the pager, whose plain case is what an arrival costs --------------------------------- */

/* The rest of fill_page(), once ept_fill() has returned `err`, and *claim if that is 0. */
int must_check fill_claimed(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level,
			    const struct page_reply *contents, enum fill_why why, uint64_t begin,
			    struct ept_claim *claim, int err);

/* Tells the policy that the range of `level` at gfn is complete. */
void fill_complete(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level);

/* Copies the contents in. 0; 1: the page was the last of its table; or as ept_fill(). */
static inline int fill_copy(struct ept_cpu *me, gfn_t gfn, const void *data)
{
	struct ept_claim claim;
	int err = ept_fill(me, gfn, PG_LEVEL_4K, &claim);

	if (err)
		return err;
	page_copy(direct(claim.frame), data);
	return ept_publish(me, &claim);
}

/* fill_page() of one page with contents at hand, within the fault of `waiter`. 0, or as ept_fill():
 * nothing is claimed then. */
static inline int fill_at_hand(struct memory *mem, size_t cpu, gfn_t gfn,
			       const struct page_reply *contents, uint64_t begin,
			       struct fault_stats *waiter)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	int complete = contents->in_place ? ept_arrive_in_place(me, gfn)
					  : fill_copy(me, gfn, contents->data);
	uint64_t cycles, end;

	if (complete < 0)
		return complete;
	end = clock_now();
	cycles = end - begin;
	fault_waited(waiter, cycles);
	count_own(&mem->pager.stats[cpu].at_hand, 1);
	trace_at(cpu, end, TRACE_SERVED, gfn, cycles);
	if (complete)
		fill_complete(mem, cpu, gfn, PG_LEVEL_2M);
	return 0;
}

#endif
