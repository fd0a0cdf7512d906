/* SPDX-License-Identifier: MIT */
/* Placing what a source has sent. See hv/mem/place.h. */
#include "hv/mem/place.h"

#include "hv/mem/family.h"
#include "mm/err.h"

bool pager_take(struct memory *mem, bool urgent_only, struct page_answer *answer)
{
	struct page_source *source = mem->pager.source;
	struct pager *p = &mem->pager;

	p->work = 0;
	if (!source->ops->poll || !source->ops->poll(source, urgent_only, answer))
		return false;
	p->answered += answer->urgent && answer->completes != NO_REQUEST;
	p->late_max = MAX(p->late_max, answer->late);
	return true;
}

/* Counts an answer that was not placed. */
static void note_refused(struct memory *mem, unsigned int cpu, gfn_t gfn, int err)
{
	struct pager_counters *stats = &mem->pager.stats[cpu];

	if (err == -ENOMEM) {
		count_own(&stats->starved, 1);
	} else if (err) {
		count_own(&stats->duplicates, 1);
		trace(TRACE_DUPLICATE, gfn, TRACE_PIECE(PG_LEVEL_4K, mem->vm));
	}
}

int place_lost(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	struct ept_claim claim;
	int err = ept_fill(me, gfn, PG_LEVEL_4K, &claim);

	if (err == EPT_FOREIGN)
		err = family_claim_named(mem, cpu, gfn, &claim);
	if (err)
		return err;
	if (claim.entry & ENTRY_ZERO) {
		/* The guest has given it back: nobody misses what it was. */
		ept_give_up(me, &claim);
		return EPT_DISCARDED;
	}
	ept_lose(me, &claim);
	trace(TRACE_POISON, gfn, TRACE_EXTENT(1, mem->vm));
	return EPT_LOST;
}

int place_part(struct memory *mem, unsigned int cpu, gfn_t gfn, enum fill_why why)
{
	struct page_source *source = mem->pager.source;
	uint64_t begin = clock_now();
	struct page_reply page;

	source->ops->page(source, gfn, &page);
	return page.lost ? place_lost(mem, cpu, gfn)
			 : fill_page(mem, cpu, gfn, PG_LEVEL_4K, &page, why, begin);
}

/* The largest piece of [gfn, end) that begins at gfn. */
static enum pg_level largest_piece(const struct memory *mem, gfn_t gfn, gfn_t end)
{
	enum pg_level level = mem->ept.leaf_max;

	while (level > PG_LEVEL_4K &&
	       (!IS_ALIGNED(gfn, level_frames(level)) || end - gfn < level_frames(level)))
		level--;
	return level;
}

/* Places the largest piece at gfn that goes. Returns its end; or, if none does, the end of the
 * entry that is there, with *err. */
static gfn_t place_piece(struct memory *mem, unsigned int cpu, gfn_t gfn, gfn_t end,
			 const struct page_reply *reply, enum fill_why why, int *err)
{
	enum pg_level level = largest_piece(mem, gfn, end);
	uint64_t begin = clock_now();
	struct ept_state there;

	*err = EPT_SMALLER;
	for (; level > PG_LEVEL_4K; level--) {
		*err = fill_page(mem, cpu, gfn, level, reply, why, begin);
		if (*err != EPT_SMALLER && *err != EPT_LOST)
			break;
	}
	if (level == PG_LEVEL_4K)
		*err = reply->whole ? place_part(mem, cpu, gfn, why)
				    : fill_page(mem, cpu, gfn, level, reply, why, begin);
	if (!*err)
		return gfn + level_frames(level);
	there = ept_lookup(&mem->ept, gfn);
	return state_end(&there, gfn);
}

int place_pieces(struct memory *mem, unsigned int cpu, const struct page_reply *reply,
		 enum fill_why why)
{
	gfn_t end = reply->gfn + reply->frames;
	int err, starved = 0;

	for (gfn_t gfn = reply->gfn; gfn < end;) {
		gfn_t at = gfn;

		if (at % FILL_STEP == 0 && cpu == 0 && mem->pager.between)
			mem->pager.between(mem, cpu);
		gfn = place_piece(mem, cpu, at, end, reply, why, &err);
		/* Runs of zeros overlap: what is here before they come is no duplicate. */
		if (err == -ENOMEM || (reply->whole && err != EPT_LOST))
			note_refused(mem, cpu, at, err);
		starved = err == -ENOMEM ? err : starved;
	}
	return starved;
}

gfn_t pager_place_run(struct memory *mem, unsigned int cpu, gfn_t gfn, gfn_t end,
		      const struct page_reply *reply)
{
	gfn_t next;
	int err;

	next = place_piece(mem, cpu, gfn, end, reply, FILL_ANSWER, &err);
	if (err == -ENOMEM)
		note_refused(mem, cpu, gfn, err);
	return next;
}

static void serve_urgent(struct memory *mem, unsigned int cpu)
{
	struct pager *p = &mem->pager;
	struct page_answer answer;

	/* Do not nest. */
	p->between = NULL;
	p->serving = true;
	if (p->ndeferred < PAGER_DEFERRED / 2 && pager_take(mem, true, &answer))
		pager_place(mem, cpu, &answer.reply);
	p->serving = false;
	p->between = serve_urgent;
}

/* Collapses the ranges that became complete while a large piece was claimed. */
static void collapse_deferred(struct memory *mem, unsigned int cpu)
{
	struct pager *p = &mem->pager;

	while (p->ndeferred) {
		p->ndeferred--;
		p->policy->complete(mem, cpu, p->deferred[p->ndeferred].gfn,
				    p->deferred[p->ndeferred].level);
	}
}

/* More than one page. */
static void answer_pieces(struct memory *mem, unsigned int cpu, const struct page_reply *reply)
{
	struct pager *p = &mem->pager;
	bool first = !p->serving;
	int err;

	if (first)
		p->between = serve_urgent;
	err = place_pieces(mem, cpu, reply, FILL_ANSWER);
	(void)err; /* pages without a table page are still owed: the stream asks again */
	if (first) {
		p->between = NULL;
		collapse_deferred(mem, cpu);
	}
}

static void answer_page(struct memory *mem, unsigned int cpu, const struct page_reply *reply)
{
	int err = reply->lost ? place_lost(mem, cpu, reply->gfn)
			      : fill_page(mem, cpu, reply->gfn, PG_LEVEL_4K, reply, FILL_ANSWER,
					  clock_now());

	note_refused(mem, cpu, reply->gfn, err == EPT_LOST ? 0 : err);
}

void pager_place(struct memory *mem, unsigned int cpu, const struct page_reply *reply)
{
	if (reply->data || reply->lost)
		answer_page(mem, cpu, reply);
	else
		answer_pieces(mem, cpu, reply);
}
