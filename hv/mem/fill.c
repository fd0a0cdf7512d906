/* SPDX-License-Identifier: MIT */
/* What placing a page needs beside its plain case. See hv/mem/fill.h. */
#include "hv/mem/fill.h"

#include "ept/access.h"
#include "hv/mem/copy.h"
#include "hv/mem/family.h"
#include "mm/err.h"

const struct page_reply fill_zeros = { 0 };

int fill_claim_foreign(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level,
		       struct ept_claim *claim, const struct page_reply **contents)
{
	/* Its frame is another memory's: page by page. */
	return level > PG_LEVEL_4K ? -E2BIG : family_claim(mem, cpu, gfn, claim, contents);
}

/* What was discarded is zeros, whatever the source says. */
void fill_write(const struct ept_claim *claim, const struct page_reply *contents)
{
	if (contents)
		page_write(claim->frame, claim->entry & ENTRY_ZERO ? &fill_zeros : contents,
			   hpa(entry_hidden_frame(claim->entry)), claim->level);
}

/* It is zeros now, and was not at the source: it counts as written. */
static void count_again(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	hpa_t at;
	int err = ept_reach(ept_cpu(&mem->ept, cpu), gfn, EPT_W, &at, &mem->gather[cpu]);

	(void)err; /* the guest may only read it; or it is gone again */
	pager_count(&mem->pager.stats[cpu].refilled, 1);
	mem_note_dirty(mem, gfn, 1);
}

void fill_count(struct memory *mem, unsigned int cpu, const struct ept_claim *claim,
		const struct page_reply *contents, enum fill_why why, uint64_t begin, uint64_t end)
{
	bool data = contents->data || contents->in_place;
	struct pager_counters *stats = &mem->pager.stats[cpu];
	unsigned int size = claim->level - PG_LEVEL_4K;

	if (why == FILL_AGAIN)
		count_again(mem, cpu, claim->gfn);
	if (why == FILL_AGAIN || why == FILL_LOAD)
		return;
	pager_count(data ? &stats->data_frames : &stats->zero_frames, level_frames(claim->level));
	pager_count(why == FILL_FAULT || claim->entry & ENTRY_REQUESTED ? &stats->demand
									: &stats->background,
		    1);
	if (why == FILL_FAULT)
		pager_count(&stats->zeros_at_hand, 1);
	pager_count(&stats->placed_4k + size, 1);
	pager_count(&stats->place_cycles_4k + size, end - begin);
	trace_at(cpu, end, data ? TRACE_ARRIVE : TRACE_ZERO, claim->gfn, claim->level);
}
