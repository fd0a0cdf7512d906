/* SPDX-License-Identifier: MIT */
/*
 * Placing a page: the one way in which absent memory becomes present. Claim it, write its contents,
 * publish it, count it, and tell the policy if its range is complete by it.
 */
#ifndef HV_MEM_FILL_H
#define HV_MEM_FILL_H

#include "hv/base/clock.h"
#include "hv/base/trace.h"
#include "hv/mem/memory.h"
#include "hv/policy/policy.h"
#include "hv/source/source.h"
#include "mm/err.h"
#include "mm/machine.h"

/* Why a page is placed: that decides how it is counted. */
enum fill_why {
	FILL_FAULT,  /* within the fault of a vCPU: the source has it at hand */
	FILL_ANSWER, /* the source sent it: to a vCPU that asked, or to nobody yet */
	FILL_AGAIN,  /* it was discarded, and somebody touches it: zeros */
	FILL_LOAD,   /* a payload's image goes there: no arrival */
};

#define FILL_STEP 16 /* pages that are written between two looks for urgent answers */

/* A reply that says zeros. */
extern const struct page_reply fill_zeros;

/* --- fill.c's own: see fill_page() ---------------------------------------------------------- */

int must_check fill_claim_foreign(struct memory *mem, unsigned int cpu, gfn_t gfn,
				  enum pg_level level, struct ept_claim *claim,
				  const struct page_reply **contents);
bool must_check fill_write(struct memory *mem, unsigned int cpu, const struct ept_claim *claim,
			   const struct page_reply *contents);
void fill_complete(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level);
void fill_count(struct memory *mem, unsigned int cpu, const struct ept_claim *claim,
		const struct page_reply *contents, enum fill_why why, uint64_t begin, uint64_t end);

/* One page with contents at hand, within its fault: what an arrival costs is measured here. */
static inline void fill_count_at_hand(struct memory *mem, unsigned int cpu, gfn_t gfn,
				      uint64_t begin, uint64_t end, struct fault_stats *waiter)
{
	fault_waited(waiter, end - begin);
	pager_count(&mem->pager.stats[cpu].at_hand, 1);
	trace_at(cpu, end, TRACE_SERVED, gfn, PG_LEVEL_4K);
}

/**
 * fill_page() - place one page.
 * @cpu: this one
 * @gfn: aligned to the level
 * @contents: zeros for FILL_AGAIN and FILL_LOAD
 * @begin: TSC when the work for it began
 * @waiter: of the vCPU whose fault is over with this page; or NULL
 * Return: 0, or why it was refused: see ept_fill(). -ENOMEM also if a private page found no frame;
 * EPT_LOST also if a part of a large piece is lost at the source: place it in smaller ones.
 */
static inline __attribute__((always_inline)) int fill_page(struct memory *mem, unsigned int cpu,
							   gfn_t gfn, enum pg_level level,
							   const struct page_reply *contents,
							   enum fill_why why, uint64_t begin,
							   struct fault_stats *waiter)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	const struct page_reply *missing = contents; /* what is to be written still */
	struct ept_claim claim;
	uint64_t end;
	int err = why == FILL_AGAIN ? ept_fill_zero(me, gfn, level, &claim)
				    : ept_fill(me, gfn, level, &claim);
	bool plain = !err && (contents->data || contents->in_place), complete;

	if (__builtin_expect(err == EPT_FOREIGN, 0))
		err = fill_claim_foreign(mem, cpu, gfn, level, &claim, &missing);
	if (__builtin_expect(err, 0))
		return err;
	if (__builtin_expect(!plain, 0)) {
		if (!fill_write(mem, cpu, &claim, missing)) {
			ept_give_up(me, &claim);
			return EPT_LOST;
		}
	} else if (contents->data)
		__builtin_memcpy(direct(claim.frame), contents->data, PAGE_SIZE);
	complete = ept_publish(me, &claim);
	end = clock_now();
	if (waiter && plain)
		fill_count_at_hand(mem, cpu, gfn, begin, end, waiter);
	else
		fill_count(mem, cpu, &claim, contents, why, begin, end);
	if (__builtin_expect(complete && why != FILL_LOAD, 0))
		fill_complete(mem, cpu, gfn, level + 1);
	return 0;
}

#endif
