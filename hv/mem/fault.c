/* SPDX-License-Identifier: MIT */
/* Faults, but for the plain case. See hv/mem/fault.h. */
#include "hv/mem/fault.h"

#include "ept/access.h"
#include "hv/mem/fill.h"
#include "hv/mem/own.h"
#include "hv/mem/place.h"
#include "mm/err.h"

static struct pager_counters *counters(struct memory *mem, unsigned int cpu)
{
	return &mem->pager.stats[cpu];
}

int fault_refill(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	return fill_page(mem, cpu, gfn, PG_LEVEL_4K, &fill_zeros, FILL_AGAIN, 0);
}

/* --- faults that bring no page -------------------------------------------------------------- */

/* Copy-on-write: the vCPU gets a copy of a private page. */
static enum pager_answer fault_copy(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	switch (own_copy(mem, cpu, gfn)) {
	case -ENOMEM:
		return PAGER_NOMEM;
	case EPT_BUSY:
		return PAGER_WAIT;
	case EPT_LOST:
		return PAGER_POISON;
	default:
		return PAGER_RESUME;
	}
}

/* No table page is free just now. */
static enum pager_answer fault_starved(struct memory *mem, unsigned int cpu)
{
	count_own(&counters(mem, cpu)->starved, 1);
	return PAGER_WAIT;
}

/* The page is here: the fault is stale, unless the page withholds the right that it needs. */
static enum pager_answer fault_present(struct memory *mem, unsigned int cpu, gfn_t gfn,
				       unsigned int access, struct fault_stats *stats)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	int64_t resolved = me->stats.write_faults + me->stats.nx_splits;

	switch (ept_resolve(me, gfn, access, &mem->gather[cpu])) {
	case EPT_FORBIDDEN:
		return PAGER_DENIED;
	case EPT_FOREIGN:
		return fault_copy(mem, cpu, gfn);
	case EPT_LOST:
		return PAGER_POISON;
	case EPT_BUSY:
		return PAGER_WAIT;
	case -ENOMEM:
		return fault_starved(mem, cpu);
	default:
		stats->spurious += me->stats.write_faults + me->stats.nx_splits == resolved;
		return PAGER_RESUME;
	}
}

static enum pager_answer refused(struct memory *mem, unsigned int cpu, gfn_t gfn,
				 unsigned int access, int err, struct fault_stats *stats)
{
	switch (err) {
	case EPT_HERE:
		return fault_present(mem, cpu, gfn, access, stats);
	case EPT_DISCARDED:
		return fault_refill(mem, cpu, gfn) == -ENOMEM ? PAGER_WAIT : PAGER_RESUME;
	case EPT_UNMAPPED:
		return PAGER_WILD;
	case EPT_LOST:
		return PAGER_POISON;
	case -ENOMEM:
		/* No frame for a copy: nobody gives one back. No table page: somebody does. */
		return ept_lookup(&mem->ept, gfn).cow ? PAGER_NOMEM : fault_starved(mem, cpu);
	default:
		return PAGER_WAIT; /* asked for, being filled, or frozen */
	}
}

static enum pager_answer fault_refused(struct memory *mem, unsigned int cpu, gfn_t gfn,
				       unsigned int access, int err, struct fault_stats *stats)
{
	enum pager_answer answer = refused(mem, cpu, gfn, access, err, stats);

	if (answer == PAGER_RESUME)
		trace(TRACE_STALE, gfn, access);
	return answer;
}

/* --- faults that bring one ------------------------------------------------------------------ */

/* Places zeros at hand, in the size that the memory grows by. */
static int place_zeros_at_hand(struct memory *mem, unsigned int cpu, gfn_t gfn, uint64_t begin)
{
	enum pg_level piece = mem->pager.piece;
	int err = fill_page(mem, cpu, ALIGN_DOWN(gfn, level_frames(piece)), piece, &fill_zeros,
			    FILL_FAULT, begin);

	return err == EPT_SMALLER
		       ? fill_page(mem, cpu, gfn, PG_LEVEL_4K, &fill_zeros, FILL_FAULT, begin)
		       : err;
}

int fault_ask(struct memory *mem, unsigned int cpu, gfn_t gfn, uint64_t now)
{
	struct page_source *source = mem->pager.source;
	struct pager_counters *stats = counters(mem, cpu);
	int err;

	/* Before the mark: who sees a mark, and that all that was asked is answered, knows that the
	 * page's answer is lost. */
	count_own(&stats->asked, 1);
	err = ept_request_piece(ept_cpu(&mem->ept, cpu), gfn, mem->pager.arrive_level);
	if (err) {
		count_own(&stats->asked, -UINT64_C(1));
		return err;
	}
	mem->pager.last_fault = gfn;
	recorder_note(&mem->pager.touches, gfn);
	trace_at(cpu, now, TRACE_REQUEST, gfn, 1);
	/* At most one request for each waiting vCPU: the source's ring has room for them. */
	if (source->ops->request(source, cpu, ALIGN_DOWN(gfn, mem->pager.arrive), mem->pager.arrive,
				 true)) {
		count_own(&stats->asked, -UINT64_C(1));
		count_own(&stats->source_full, 1);
	}
	return 0;
}

/* A piece was placed around the page. 0: the page itself is here; or why not. */
static int why_absent(const struct memory *mem, gfn_t gfn)
{
	struct ept_state s = ept_lookup(&mem->ept, gfn);

	if (s.kind == EPT_PRESENT)
		return 0;
	if (s.kind == EPT_POISON)
		return EPT_LOST;
	return s.kind == EPT_ABSENT && s.zero ? EPT_DISCARDED : EPT_BUSY;
}

/* Places zeros, a larger piece, or a loss at hand. 0, or why there is no page. */
static int fault_at_hand(struct memory *mem, unsigned int cpu, gfn_t gfn,
			 const struct page_reply *reply, uint64_t begin)
{
	if (reply->lost)
		return place_lost(mem, cpu, gfn);
	if (reply->whole) {
		int err = place_pieces(mem, cpu, reply, FILL_FAULT);

		return err ? err : why_absent(mem, gfn);
	}
	return place_zeros_at_hand(mem, cpu, gfn, begin);
}

/* @err: 0: the page is here; or why not */
static enum pager_answer fault_over(struct memory *mem, unsigned int cpu, gfn_t gfn,
				    unsigned int access, uint64_t begin, int err,
				    struct fault_stats *stats)
{
	uint64_t cycles;

	if (err)
		return fault_refused(mem, cpu, gfn, access, err, stats);
	count_own(&counters(mem, cpu)->pieces_at_hand, 1);
	cycles = clock_now() - begin;
	fault_waited(stats, cycles);
	trace(TRACE_FOUND, gfn, cycles);
	return PAGER_RESUME;
}

enum pager_answer fault_remote(struct memory *mem, unsigned int cpu, gfn_t gfn, unsigned int access,
			       uint64_t begin, struct fault_stats *stats)
{
	int err;

	trace_at(cpu, begin, TRACE_FAULT, gfn_to_gpa(gfn).v, access);
	err = fault_ask(mem, cpu, gfn, begin);
	return err ? fault_refused(mem, cpu, gfn, access, err, stats) : PAGER_WAIT;
}

enum pager_answer fault_otherwise(struct memory *mem, unsigned int cpu, gfn_t gfn,
				  unsigned int access, const struct page_reply *reply,
				  uint64_t begin, struct fault_stats *stats)
{
	int err;

	trace_at(cpu, begin, TRACE_FAULT, gfn_to_gpa(gfn).v, access);
	err = fault_at_hand(mem, cpu, gfn, reply, begin);
	return fault_over(mem, cpu, gfn, access, begin, err, stats);
}

enum pager_answer fault_not_filled(struct memory *mem, unsigned int cpu, gfn_t gfn,
				   unsigned int access, const struct page_reply *reply,
				   uint64_t begin, int err, struct fault_stats *stats)
{
	struct ept_claim claim;

	trace_at(cpu, begin, TRACE_FAULT, gfn_to_gpa(gfn).v, access);
	err = fill_claimed(mem, cpu, gfn, PG_LEVEL_4K, reply, FILL_FAULT, begin, &claim, err);
	return fault_over(mem, cpu, gfn, access, begin, err, stats);
}
