/* SPDX-License-Identifier: MIT */
/* The plain fault, and what else needs a page: see hv/mem/pager.h. */
#include "hv/mem/pager.h"

#include "hv/mem/fault.h"
#include "hv/mem/fill.h"
#include "hv/mem/place.h"
#include "mm/err.h"

/* The level of the largest entry that one arrival fills. */
static enum pg_level arrive_level(const struct memory *mem, uint64_t arrive)
{
	enum pg_level level = PG_LEVEL_4K;

	while (level < mem->ept.leaf_max && level_frames(level + 1) <= arrive)
		level++;
	return level;
}

void pager_init(struct memory *mem, struct page_source *source, enum pg_level piece,
		uint64_t arrive, const struct policy *policy)
{
	mem->pager = (struct pager){
		.source = source,
		.piece = piece,
		.arrive = arrive,
		.arrive_level = arrive_level(mem, arrive),
		.policy = policy,
	};
}

static inline bool is_contents(const struct page_reply *reply)
{
	return reply->in_place || reply->data;
}

enum pager_answer pager_fault(struct memory *mem, size_t cpu, gpa_t at, unsigned int access,
			      struct fault_stats *stats)
{
	struct page_source *source = mem->pager.source;
	gfn_t gfn = gpa_to_gfn(at);
	uint64_t begin = clock_now();
	struct page_reply reply;
	int err;

	if (gfn >= mem->end)
		return PAGER_WILD;
	stats->faults++;
	if (!source->ops->now(source, gfn, &reply))
		return fault_remote(mem, cpu, gfn, access, begin, stats);
	if (!is_contents(&reply))
		return fault_otherwise(mem, cpu, gfn, access, &reply, begin, stats);
	/* The hot path: everything else is measured against it. */
	err = fill_at_hand(mem, cpu, gfn, &reply, begin, stats);
	if (err)
		return fault_not_filled(mem, cpu, gfn, access, &reply, begin, err, stats);
	return PAGER_RESUME;
}

/* --- without a vCPU ----------------------------------------------------------------------- */

int pager_bring(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	struct page_source *source = mem->pager.source;
	uint64_t begin = clock_now();
	struct page_reply reply;
	int err;

	if (gfn >= mem->end)
		return EPT_UNMAPPED;
	if (source->ops->now(source, gfn, &reply)) {
		err = reply.whole || reply.lost
			      ? place_part(mem, cpu, gfn, FILL_ANSWER)
			      : fill_page(mem, cpu, gfn, PG_LEVEL_4K, &reply, FILL_ANSWER, begin);
	} else {
		err = fault_ask(mem, cpu, gfn, begin);
		if (!err || err == EPT_ASKED)
			err = EPT_BUSY;
	}
	return err == EPT_DISCARDED ? fault_refill(mem, cpu, gfn) : err;
}

void pager_poll(struct memory *mem)
{
	struct page_answer answer;

	if (pager_take(mem, true, &answer))
		pager_place(mem, cpu_id(), &answer.reply);
}

bool pager_all_answered(const struct memory *mem)
{
	uint64_t asked = 0;

	for (unsigned int i = 0; i < ncpus; i++)
		asked += atomic_load_explicit(&mem->pager.stats[i].asked, memory_order_relaxed);
	return asked == mem->pager.answered;
}

/* --- sums --------------------------------------------------------------------------------- */

void pager_sum(const struct memory *mem, struct pager_stats *sum)
{
	*sum = (struct pager_stats){ 0 };
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		const struct pager_counters *s = &mem->pager.stats[i];

#define X(name, what) sum->name += atomic_load_explicit(&s->name, memory_order_relaxed);
		PAGER_STATS(X)
#undef X
	}
	/* The hot path counts only at_hand. */
	sum->data_frames += sum->at_hand;
	sum->demand += sum->at_hand;
}

uint64_t pager_settled(const struct memory *mem)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < ncpus; i++) {
		const struct pager_counters *s = &mem->pager.stats[i];
		const struct ept_counters *e = &mem->ept.cpu[i].stats;

		n += atomic_load_explicit(&s->data_frames, memory_order_relaxed) +
		     atomic_load_explicit(&s->zero_frames, memory_order_relaxed) +
		     atomic_load_explicit(&s->at_hand, memory_order_relaxed) +
		     (uint64_t)atomic_load_explicit(&e->given_up, memory_order_relaxed) +
		     (uint64_t)atomic_load_explicit(&e->lost_early, memory_order_relaxed);
	}
	return n;
}
