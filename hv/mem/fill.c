/* SPDX-License-Identifier: MIT */
/* Placing a page, but for the plain case. See hv/mem/fill.h. */
#include "hv/mem/fill.h"

#include "ept/access.h"
#include "hv/mem/copy.h"
#include "hv/mem/family.h"
#include "mm/err.h"

const struct page_reply fill_zeros = { 0 };

/* Counts the boot CPU's work that urgent answers wait for: not what a vCPU there does for itself,
 * nor an urgent answer that is served in between. */
static void worked(struct memory *mem, unsigned int cpu, enum fill_why why, uint64_t bytes)
{
	struct pager *p = &mem->pager;

	if (cpu || why != FILL_ANSWER || p->serving)
		return;
	p->work += bytes;
	p->work_max = MAX(p->work_max, p->work);
}

/* Writes FILL_STEP pages of a piece that came whole. False: one of them is lost. */
static bool write_step(struct memory *mem, const struct ept_claim *claim, uint64_t from)
{
	struct page_source *source = mem->pager.source;

	for (uint64_t i = from; i < from + FILL_STEP && i < level_frames(claim->level); i++) {
		struct page_reply page;

		source->ops->page(source, claim->gfn + i, &page);
		if (page.lost)
			return false;
		if (page.data || !mem->zeroed)
			page_write(hpa(claim->frame.v + (i << PAGE_SHIFT)), &page,
				   hpa(claim->frame.v + (i << PAGE_SHIFT)), PG_LEVEL_4K);
	}
	return true;
}

/* Serves urgent answers between two steps. */
static bool write_whole(struct memory *mem, unsigned int cpu, const struct ept_claim *claim,
			enum fill_why why)
{
	struct pager *p = &mem->pager;
	bool good = true;

	for (uint64_t i = 0; good && i < level_frames(claim->level); i += FILL_STEP) {
		good = write_step(mem, claim, i);
		worked(mem, cpu, why, FILL_STEP << PAGE_SHIFT);
		if (cpu == 0 && p->between) {
			p->holding = true;
			p->between(mem, cpu);
			p->holding = false;
		}
	}
	return good;
}

static bool write_contents(struct memory *mem, unsigned int cpu, const struct ept_claim *claim,
			   const struct page_reply *contents, enum fill_why why)
{
	bool discarded = claim->entry & ENTRY_ZERO;
	bool zeros = contents && (discarded || !(contents->data || contents->in_place));

	if (!contents)
		return true;
	if (contents->whole && !discarded)
		return write_whole(mem, cpu, claim, why);
	if (zeros && mem->zeroed && !discarded && claim->level > PG_LEVEL_4K)
		return true;
	/* A discarded page is zeros, whatever the source says. */
	page_write(claim->frame, discarded ? &fill_zeros : contents,
		   hpa(entry_hidden_frame(claim->entry)), claim->level);
	if (!contents->in_place)
		worked(mem, cpu, why, level_frames(claim->level) << PAGE_SHIFT);
	return true;
}

void fill_complete(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	struct pager *p = &mem->pager;

	if (cpu == 0 && p->holding) {
		/* A piece of a GiB may complete more ranges than fit: the last sweep finds them. */
		if (p->ndeferred == PAGER_DEFERRED)
			return;
		p->deferred[p->ndeferred].gfn = gfn;
		p->deferred[p->ndeferred++].level = level;
		return;
	}
	p->policy->complete(mem, cpu, gfn, level);
}

/* The page is zeros now, and was not at the source: it counts as written. */
static void count_again(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	hpa_t at;
	int err = ept_reach(ept_cpu(&mem->ept, cpu), gfn, EPT_W, &at, &mem->gather[cpu]);

	(void)err; /* the guest may only read it; or it is gone again */
	count_own(&mem->pager.stats[cpu].refilled, 1);
	trace(TRACE_AGAIN, gfn, TRACE_PIECE(PG_LEVEL_4K, mem->vm));
	mem_note_dirty(mem, gfn, 1);
}

static void count(struct memory *mem, unsigned int cpu, const struct ept_claim *claim,
		  const struct page_reply *contents, enum fill_why why, uint64_t begin,
		  uint64_t end)
{
	bool data = contents->data || contents->in_place || contents->whole;
	struct pager_counters *stats = &mem->pager.stats[cpu];
	unsigned int size = claim->level - PG_LEVEL_4K;

	if (why == FILL_AGAIN)
		count_again(mem, cpu, claim->gfn);
	if (why == FILL_AGAIN || why == FILL_LOAD)
		return;
	count_own(data ? &stats->data_frames : &stats->zero_frames, level_frames(claim->level));
	count_own(why == FILL_FAULT || claim->entry & ENTRY_REQUESTED ? &stats->demand
								      : &stats->background,
		  1);
	count_own(&stats->placed_4k + size, 1);
	count_own(&stats->place_cycles_4k + size, end - begin);
	trace_at(cpu, end, data ? TRACE_ARRIVE : TRACE_ZERO, claim->gfn,
		 TRACE_PIECE(claim->level, mem->vm));
}

int fill_claimed(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level,
		 const struct page_reply *contents, enum fill_why why, uint64_t begin,
		 struct ept_claim *claim, int err)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	const struct page_reply *missing = contents; /* contents not written yet */
	bool complete;

	/* Another memory owns the frame: go page by page. */
	if (err == EPT_FOREIGN)
		err = level > PG_LEVEL_4K ? EPT_SMALLER
					  : family_claim(mem, cpu, gfn, claim, &missing);
	if (err)
		return err;
	if (missing && missing->data && !(claim->entry & ENTRY_ZERO)) {
		page_copy(direct(claim->frame), missing->data);
		worked(mem, cpu, why, PAGE_SIZE);
	} else if (!write_contents(mem, cpu, claim, missing, why)) {
		ept_give_up(me, claim);
		return EPT_LOST;
	}
	complete = ept_publish(me, claim);
	count(mem, cpu, claim, contents, why, begin, clock_now());
	if (complete && why != FILL_LOAD)
		fill_complete(mem, cpu, gfn, level + 1);
	return 0;
}

int fill_page(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level,
	      const struct page_reply *contents, enum fill_why why, uint64_t begin)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	struct ept_claim claim;
	int err = why == FILL_AGAIN ? ept_fill_zero(me, gfn, level, &claim)
				    : ept_fill(me, gfn, level, &claim);

	return fill_claimed(mem, cpu, gfn, level, contents, why, begin, &claim, err);
}
