/* SPDX-License-Identifier: MIT */
/* The world's steps: each operation, done to the second stage and to the reference. */
#include <stdio.h>
#include <string.h>

#include "tests/host/model/world.h"

const char *step_text(const struct step *s, char *buf, size_t bytes)
{
	static const char *const names[STEP_CODES] = {
		"map",     "unmap", "request",  "arrive",         "arrive_all", "fill",  "publish",
		"give_up", "split", "collapse", "collapse_range", "poison",     "touch", "sync",
	};

	snprintf(buf, bytes, "%s gfn=%u frames=%u level=%u kind=%s write=%d also=%u way=%u",
		 names[s->code], s->gfn, s->frames, s->level,
		 entry_kind_name((enum ept_kind)s->kind), s->write, s->also, s->way);
	return buf;
}

static bool overlaps_claim(const struct world *w, uint64_t gfn, uint64_t frames)
{
	return w->claimed && gfn < w->claim.gfn + fmt_frames(w->ref.fmt, w->claim.level) &&
	       w->claim.gfn < gfn + frames;
}

bool world_allows(const struct world *w, const struct step *s)
{
	const struct ref_page *p = &w->ref.page[s->gfn];

	switch (s->code) {
	case STEP_MAP:
		return !w->gather.owed;
	case STEP_UNMAP:
		return !overlaps_claim(w, s->gfn, s->frames);
	case STEP_COLLAPSE:
	case STEP_COLLAPSE_RANGE:
		return !w->pending_max || w->gather.n < w->pending_max;
	case STEP_POISON:
		return p->kind != EPT_FILLING || p->level > PG_LEVEL_4K;
	case STEP_FILL:
		return !w->claimed;
	case STEP_PUBLISH:
	case STEP_GIVE_UP:
		return w->claimed;
	case STEP_TOUCH:
		return s->way < tlb_ways(&w->tlb, w->ref.fmt, s->gfn, s->write);
	case STEP_SYNC:
		return w->gather.owed &&
		       (!s->write || s->way < tlb_ways(&w->tlb, w->ref.fmt, s->also, true));
	default:
		return true;
	}
}

/* --- arrivals ------------------------------------------------------------------------------ */

/* The contents that come from elsewhere. */
static void pour(struct world *w, const struct ept_claim *claim)
{
	uint64_t first = (claim->frame.v - WORLD_BACKING) >> PAGE_SHIFT;

	if (first >= w->nmemory || w->ref.page[claim->gfn].frame != claim->frame.v)
		world_fail(w, "the claim's frame is not the page's");
	else
		memset(&w->memory[first], w->pouring, fmt_frames(w->ref.fmt, claim->level));
}

static void publish(struct world *w, unsigned int cpu, const struct ept_claim *claim)
{
	bool full;

	pour(w, claim);
	full = ept_publish(ept_cpu(&w->ept, cpu), claim);
	if (full != ref_publish(&w->ref, claim->gfn, claim->level, w->pouring))
		world_fail(w, "publish said %s, wrongly", full ? "complete" : "incomplete");
}

static int fill(struct world *w, unsigned int cpu, gfn_t gfn, enum pg_level level,
		struct ept_claim *claim)
{
	int r = ept_fill(ept_cpu(&w->ept, cpu), gfn, level, claim);
	int must = r == -ENOMEM ? r : ref_fill(&w->ref, gfn, level);

	if (r != must)
		world_fail(w, "fill of %lu returned %d, not %d", (long)gfn, r, must);
	return r;
}

static int arrive(struct world *w, gfn_t gfn, enum pg_level level)
{
	struct ept_claim claim;
	int r = fill(w, 0, gfn, level, &claim);

	if (!r)
		publish(w, 0, &claim);
	return r;
}

static void arrive_all(struct world *w, gfn_t gfn, uint64_t frames)
{
	gfn_t end = gfn + frames;

	while (gfn < end && !w->fault[0]) {
		unsigned int level = w->ref.page[gfn].level;
		uint64_t n;

		while (level > PG_LEVEL_4K &&
		       (level > w->ref.leaf_max || gfn % fmt_frames(w->ref.fmt, level) ||
			gfn + fmt_frames(w->ref.fmt, level) > end))
			level--;
		n = fmt_frames(w->ref.fmt, (enum pg_level)level);
		if (w->ref.page[gfn].kind == EPT_ABSENT)
			(void)arrive(w, gfn, (enum pg_level)level);
		gfn += n;
	}
}

/* --- one step ------------------------------------------------------------------------------ */

/* Does it to the second stage, and what is done by arrive() and fill() to the reference, too. */
static int run(struct world *w, const struct step *s, struct ept_collapse_result *result)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	enum pg_level level = (enum pg_level)s->level;

	switch (s->code) {
	case STEP_MAP:
		return ept_map(me, s->gfn, s->frames,
			       hpa(WORLD_BACKING + ((uint64_t)s->backing << PAGE_SHIFT)), s->perms,
			       (enum ept_memtype)s->memtype, (enum ept_kind)s->kind);
	case STEP_UNMAP:
		return ept_unmap(me, s->gfn, s->frames, &w->gather);
	case STEP_REQUEST:
		return ept_request(me, s->gfn);
	case STEP_ARRIVE:
		return arrive(w, s->gfn, level);
	case STEP_ARRIVE_ALL:
		arrive_all(w, s->gfn, s->frames);
		return 0;
	case STEP_FILL: {
		int r = fill(w, 1, s->gfn, level, &w->claim);

		w->claimed = r == 0;
		return r;
	}
	case STEP_PUBLISH:
		publish(w, 1, &w->claim);
		w->claimed = false;
		return 0;
	case STEP_GIVE_UP:
		ept_give_up(ept_cpu(&w->ept, 1), &w->claim);
		ref_give_up(&w->ref, w->claim.gfn, w->claim.level);
		w->claimed = false;
		return 0;
	case STEP_SPLIT:
		return ept_split(me, s->gfn, level, EPT_WHY_ASKED, &w->gather);
	case STEP_COLLAPSE:
		return ept_collapse(me, s->gfn, level, &w->gather);
	case STEP_COLLAPSE_RANGE:
		ept_collapse_range(me, s->gfn, s->frames, &w->gather, result);
		return 0;
	case STEP_POISON:
		return ept_poison(me, s->gfn, &w->gather);
	case STEP_TOUCH:
		world_touch(w, s->gfn, s->write, s->way);
		return 0;
	default:
		ept_sync(&w->gather);
		if (w->gather.owed || w->gather.n)
			world_fail(w, "a sync left something owed");
		return 0;
	}
}

static int map_reference(struct world *w, const struct step *s)
{
	uint64_t at = WORLD_BACKING + ((uint64_t)s->backing << PAGE_SHIFT);
	int r = ref_map(&w->ref, s->gfn, s->frames, at, s->perms, (enum ept_memtype)s->memtype,
			(enum ept_kind)s->kind);

	for (uint64_t i = 0; !r && i < s->frames; i++)
		w->ref.page[s->gfn + i].content = w->memory[s->backing + i];
	return r;
}

/* Does it to the reference, and returns what the second stage must have returned. */
static int expect(struct world *w, const struct step *s, int r, struct ept_collapse_result *result)
{
	enum pg_level level = (enum pg_level)s->level;

	switch (s->code) {
	case STEP_MAP:
		return map_reference(w, s);
	case STEP_UNMAP:
		ref_unmap(&w->ref, s->gfn, s->frames);
		return 0;
	case STEP_REQUEST:
		return ref_request(&w->ref, s->gfn);
	case STEP_SPLIT:
		return ref_split(&w->ref, s->gfn, level);
	case STEP_COLLAPSE:
		return ref_collapse(&w->ref, s->gfn, level);
	case STEP_COLLAPSE_RANGE:
		ref_collapse_range(&w->ref, s->gfn, s->frames, result);
		return 0;
	case STEP_POISON:
		return ref_poison(&w->ref, s->gfn);
	default:
		return r;
	}
}

static void begin(struct world *w, const struct step *s)
{
	w->step = s;
	w->allocs = 0;
	w->changing_from = s->gfn;
	w->changing_to = s->gfn + (s->code == STEP_UNMAP ? s->frames : s->code == STEP_POISON);
}

struct before {
	bool owed;
	unsigned int flushes;
	int64_t changes; /* of what hardware may remember; but for those of an unmapping */
	int64_t poisoned;
};

static struct before remember(struct world *w)
{
	const struct ept_counters *s = &w->ept.cpu[0].stats;

	return (struct before){ w->gather.owed, w->flushes, s->splits_present + s->collapses,
				s->poisoned };
}

static void verify_flushes(struct world *w, const struct step *s, struct before was)
{
	struct before is = remember(w);
	bool flushed = is.flushes != was.flushes;

	if (s->code == STEP_SYNC) {
		if (is.flushes != was.flushes + 1)
			world_fail(w, "a sync made %u flushes", is.flushes - was.flushes);
		return;
	}
	if (flushed && w->gather.n == 0)
		world_fail(w, "a flush that nobody asked for");
	if (is.changes != was.changes && !is.owed)
		world_fail(w, "no flush is owed for what changed");
	if (s->code != STEP_UNMAP && is.owed != was.owed && is.changes == was.changes &&
	    is.poisoned == was.poisoned)
		world_fail(w, "a flush is owed for nothing");
}

/* The CPU looks at all that is there. Never at what is not: that would make it forget. */
static void look_around(struct world *w)
{
	for (gfn_t gfn = 0; gfn < w->ref.npages; gfn++)
		if (w->ref.page[gfn].kind == EPT_PRESENT)
			world_touch(w, gfn, false, 0);
}

bool world_step(struct world *w, const struct step *s)
{
	struct ept_collapse_result result = { 0 }, must_result = { 0 };
	struct before was = remember(w);
	int r, must;

	begin(w, s);
	w->fail_at = 0;
	r = run(w, s, &result);
	w->step = NULL;
	must = expect(w, s, r, &must_result);
	if (r != must)
		world_fail(w, "returned %d, not %d", r, must);
	if (memcmp(&result, &must_result, sizeof(result)))
		world_fail(w, "collapse_range counted wrongly");
	verify_flushes(w, s, was);
	if (w->ref.npages <= 64) {
		if (w->eager)
			look_around(w);
		world_verify(w);
	}
	return !w->fault[0];
}

bool world_step_fails(struct world *w, const struct step *s, unsigned int nth)
{
	struct ept_collapse_result result;
	int r;

	begin(w, s);
	w->fail_at = nth;
	r = run(w, s, &result);
	w->step = NULL;
	w->fail_at = 0;
	if (r != -ENOMEM)
		world_fail(w, "allocation %u failed, but %d was returned", nth, r);
	/* Pieces may have become smaller, and a map that takes itself back also drops tables that
	 * were empty before it; all that they say must still be the same. */
	for (gfn_t i = 0; i < w->ref.npages; i++) {
		struct ept_state now = ept_lookup(&w->ept, i);
		struct ref_page *p = &w->ref.page[i];

		if (now.level < p->level || (now.kind == EPT_NONE && p->kind == EPT_NONE))
			p->level = (uint8_t)now.level;
	}
	return world_verify(w);
}
