/* SPDX-License-Identifier: MIT */
/* The world's steps: each operation, done to the second stage and to the reference. */
#include <stdio.h>
#include <string.h>

#include "tests/host/model/world.h"

const char *step_text(const struct step *s, char *buf, size_t bytes)
{
	static const char *const names[STEP_CODES] = {
		"map",         "unmap",        "request",        "arrive",
		"arrive_all",  "fill",         "publish",        "give_up",
		"split",       "collapse",     "collapse_range", "poison",
		"touch",       "sync",         "protect",        "discard",
		"fill_zero",   "poison_range", "move",           "split_range",
		"track",       "collect",      "untrack",        "fetch",
		"resolve",     "reach",        "freeze",         "thaw",
		"copy",        "recover_nx",   "clone",          "clone_unmap",
		"clone_touch", "clone_copy",   "clone_fill",
	};

	snprintf(buf, bytes,
		 "%s gfn=%u frames=%u level=%u kind=%s perms=%u write=%d also=%u way=%u",
		 names[s->code], s->gfn, s->frames, s->level,
		 entry_kind_name((enum ept_kind)s->kind), s->perms, s->write, s->also, s->way);
	return buf;
}

bool world_overlaps_claim(const struct world *w, uint64_t gfn, uint64_t frames)
{
	return w->claimed && gfn < w->claim.gfn + fmt_frames(w->ref.fmt, w->claim.level) &&
	       w->claim.gfn < gfn + frames;
}

/* No frame of it is mapped already: pages may have been moved or copied. */
static bool unused_by(const struct world *w, const struct reference *ref, uint64_t backing,
		      uint64_t frames)
{
	for (gfn_t i = 0; i < ref->npages; i++)
		if (ref->page[i].kind != EPT_NONE &&
		    world_frame(ref->page[i].frame) % w->half - backing < frames)
			return false;
	return true;
}

static bool unused(const struct world *w, uint64_t backing, uint64_t frames)
{
	return (!w->aliases || unused_by(w, &w->ref, backing, frames)) &&
	       (!w->has_clone || unused_by(w, &w->clone.ref, backing, frames));
}

bool world_allows(const struct world *w, const struct step *s)
{
	const struct ref_page *p = &w->ref.page[s->gfn];

	switch (s->code) {
	case STEP_MAP:
		return !w->gather.owed && unused(w, s->backing, s->frames);
	case STEP_UNMAP:
		return !world_overlaps_claim(w, s->gfn, s->frames);
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
	case STEP_REQUEST:
	case STEP_ARRIVE:
	case STEP_ARRIVE_ALL:
	case STEP_SPLIT:
		return true;
	default:
		return s->code >= STEP_CLONE ? world_allows_clone(w, s) : world_allows_more(w, s);
	}
}

/* --- arrivals ------------------------------------------------------------------------------ */

/* The contents that come from elsewhere. */
static void pour(struct world *w, const struct ept_claim *claim)
{
	uint64_t first = world_frame(claim->frame.v);

	if (first >= 3 * w->half || w->ref.page[claim->gfn].frame != claim->frame.v)
		world_fail(w, "the claim's frame is not the page's");
	else
		memset(&w->memory[first], w->pouring, fmt_frames(w->ref.fmt, claim->level));
	/* Who shares a frame shares it at the same address, unless something moved. */
	for (uint64_t i = 0; w->has_clone && i < fmt_frames(w->ref.fmt, claim->level); i++) {
		uint64_t frame = claim->frame.v + (i << PAGE_SHIFT);

		if (w->aliases || w->clone.ref.page[claim->gfn + i].frame == frame)
			world_write(w, frame, w->pouring);
	}
}

/* Bits that came late to a table which waits for the flush are or-ed into whatever is in its place
 * by then: also into what was discarded and has come back. */
static void note_late_bits(struct world *w, const struct ept_claim *claim)
{
	const struct ept_format *fmt = w->ref.fmt;
	uint64_t frames = fmt_frames(fmt, claim->level);

	for (unsigned int i = 0; i < w->gather.n; i++) {
		const struct ept_gathered *t = &w->gather.table[i];
		const uint64_t *entry = frame_virt(&w->pool, t->table);
		uint64_t any = 0;

		if (claim->gfn + frames <= t->gfn ||
		    claim->gfn >= t->gfn + fmt_frames(fmt, t->level))
			continue;
		for (unsigned int j = 0; j < fmt_entries(fmt); j++)
			any |= entry[j] & ~t->seen_ad;
		ref_note(&w->ref, claim->gfn, frames,
			 (any & fmt->accessed ? REF_ACCESSED : 0) |
				 (any & fmt->dirty ? REF_DIRTY : 0));
	}
}

static void publish(struct world *w, unsigned int cpu, const struct ept_claim *claim)
{
	bool full;

	pour(w, claim);
	full = ept_publish(ept_cpu(&w->ept, cpu), claim);
	if (full != ref_publish(&w->ref, claim->gfn, claim->level, w->pouring))
		world_fail(w, "publish said %s, wrongly", full ? "complete" : "incomplete");
	note_late_bits(w, claim);
}

static int fill(struct world *w, unsigned int cpu, gfn_t gfn, enum pg_level level,
		struct ept_claim *claim)
{
	int r = ept_fill(ept_cpu(&w->ept, cpu), gfn, level, claim);
	int must = r == EPT_NO_TABLE ? r : ref_fill(&w->ref, gfn, level);

	if (r != must)
		world_fail(w, "fill of %lu returned %d, not %d", (long)gfn, r, must);
	return r;
}

/* To the reference it is a fill and a publish. */
static int arrive_in_place(struct world *w, gfn_t gfn)
{
	struct ept_claim claim = { .gfn = gfn, .level = PG_LEVEL_4K };
	int r = ept_arrive_in_place(ept_cpu(&w->ept, 0), gfn);
	int must = r == EPT_NO_TABLE ? r : ref_fill(&w->ref, gfn, PG_LEVEL_4K);

	if (MIN(r, 0) != must)
		world_fail(w, "arrival in place of %lu returned %d, not %d", (long)gfn, r, must);
	if (r < 0)
		return r;
	claim.frame = ept_lookup(&w->ept, gfn).frame;
	pour(w, &claim);
	if (r != ref_publish(&w->ref, gfn, PG_LEVEL_4K, w->pouring))
		world_fail(w, "arrival in place said %s, wrongly", r ? "complete" : "incomplete");
	note_late_bits(w, &claim);
	return 0;
}

/* Odd pages arrive in place: the contents need no claim to be written. */
static int arrive(struct world *w, gfn_t gfn, enum pg_level level)
{
	struct ept_claim claim;
	int r;

	if (level == PG_LEVEL_4K && gfn & 1)
		return arrive_in_place(w, gfn);
	r = fill(w, 0, gfn, level, &claim);
	if (!r)
		publish(w, 0, &claim);
	return r;
}

static int arrive_zeros(struct world *w, gfn_t gfn, enum pg_level level)
{
	struct ept_claim claim;
	uint8_t poured = w->pouring;
	int r = ept_fill_zero(ept_cpu(&w->ept, 0), gfn, level, &claim);
	int must = r == EPT_NO_TABLE ? r : ref_fill_special(&w->ref, gfn, level, true, false);

	if (r != must)
		world_fail(w, "fill_zero of %lu returned %d, not %d", (long)gfn, r, must);
	w->pouring = CONTENT_ZERO;
	if (!r)
		publish(w, 0, &claim);
	w->pouring = poured;
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
		if (w->ref.page[gfn].kind == EPT_ABSENT && !w->ref.page[gfn].zero)
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
		world_touch(w, s->gfn, s->write ? EPT_W : EPT_R, s->way);
		return 0;
	case STEP_FILL_ZERO:
		return arrive_zeros(w, s->gfn, level);
	default:
		return s->code >= STEP_CLONE ? world_run_clone(w, s) : world_run_more(w, s);
	case STEP_SYNC:
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
		return ref_unmap(&w->ref, s->gfn, s->frames);
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
	case STEP_ARRIVE:
	case STEP_ARRIVE_ALL:
	case STEP_FILL_ZERO:
	case STEP_FILL:
	case STEP_PUBLISH:
	case STEP_GIVE_UP:
	case STEP_TOUCH:
	case STEP_SYNC:
		return r;
	default:
		return s->code >= STEP_CLONE ? world_expect_clone(w, s, r)
					     : world_expect_more(w, s, r);
	}
}

/* The pages that a step may take away from the guest, if only for a moment. */
static uint64_t changed_frames(const struct world *w, const struct step *s)
{
	switch (s->code) {
	case STEP_UNMAP:
	case STEP_DISCARD:
	case STEP_POISON_RANGE:
	case STEP_MOVE:
		return s->frames;
	case STEP_POISON:
	case STEP_COPY:
		return 1;
	case STEP_FREEZE:
		return fmt_frames(w->ref.fmt, (enum pg_level)s->level);
	case STEP_COLLAPSE:
	case STEP_COLLAPSE_RANGE:
	case STEP_RECOVER_NX:
		return w->ref.nx ? UINT64_MAX : 0;
	default:
		return 0;
	}
}

static void begin(struct world *w, const struct step *s)
{
	uint64_t n = changed_frames(w, s);

	w->step = s;
	w->allocs = 0;
	w->changing_from = n == UINT64_MAX ? 0 : s->gfn;
	w->changing_to = n == UINT64_MAX ? n : s->gfn + n;
	w->changing_rights = s->code == STEP_PROTECT || s->code == STEP_TRACK ||
			     s->code == STEP_COLLECT || s->code == STEP_CLONE;
}

#define WATCHED 64 /* pages of a world whose every page is looked at before and after */

struct before {
	bool owed;
	unsigned int flushes;
	int64_t changes; /* of what hardware may remember; but for those of an unmapping */
	int64_t freed;   /* tables, by flushes */
	unsigned int gathered;
	uint64_t frame[WATCHED]; /* that hardware reaches; 0: none */
	uint8_t rights[WATCHED];
};

static void remember(struct world *w, struct before *b)
{
	const struct ept_counters *s = &w->ept.cpu[0].stats;

	*b = (struct before){ .owed = w->gather.owed,
			      .flushes = w->flushes,
			      .changes = s->splits_present + s->collapses,
			      .freed = s->tables_freed,
			      .gathered = w->gather.n };
	for (gfn_t gfn = 0; gfn < w->ref.npages && w->ref.npages <= WATCHED; gfn++) {
		struct ept_state leaf;

		if (tlb_peek(&w->ept, gfn, &leaf) != TLB_HIT)
			continue;
		b->frame[gfn] = leaf.frame.v;
		b->rights[gfn] = (uint8_t)leaf.perms;
	}
}

/* Can the guest do less than before, or elsewhere? */
static bool lost(const struct before *was, const struct before *is)
{
	for (unsigned int i = 0; i < WATCHED; i++)
		if (was->frame[i] && (is->frame[i] != was->frame[i] ||
				      (was->rights[i] & ~(unsigned int)is->rights[i])))
			return true;
	return false;
}

static void verify_flushes(struct world *w, const struct step *s, const struct before *was)
{
	struct before is;
	bool must, flushed = w->flushes != was->flushes;

	remember(w, &is);
	must = is.changes != was->changes || lost(was, &is);
	if (s->code == STEP_SYNC && w->flushes != was->flushes + 1)
		world_fail(w, "a sync made %u flushes", w->flushes - was->flushes);
	/* These flush by themselves; what a collection owes is said with what it reports. */
	if (s->code == STEP_SYNC || s->code == STEP_COPY || s->code == STEP_COLLECT)
		return;
	/* Unless the gather was full. */
	if (flushed && is.freed - was->freed < EPT_GATHER_MAX && !w->ref.nx && s->code != STEP_MOVE)
		world_fail(w, "a flush that nobody asked for");
	if (must && !is.owed && !flushed)
		world_fail(w, "no flush is owed for what changed");
	if (w->ref.npages <= WATCHED && !must && is.gathered == was->gathered &&
	    is.owed != was->owed && !flushed)
		world_fail(w, "a flush is owed for nothing");
}

/* The CPU looks at all that is there. Never at what is not: that would make it forget. */
static void look_around(struct world *w)
{
	for (gfn_t gfn = 0; gfn < w->ref.npages; gfn++)
		if (w->ref.page[gfn].kind == EPT_PRESENT)
			world_touch(w, gfn, EPT_R, 0);
}

bool world_step(struct world *w, const struct step *s)
{
	struct ept_collapse_result result = { 0 }, must_result = { 0 };
	struct before was;
	int r, must;

	remember(w, &was);
	begin(w, s);
	w->fail_at = 0;
	r = run(w, s, &result);
	w->step = NULL;
	must = expect(w, s, r, &must_result);
	if (r != must)
		world_fail(w, "returned %d, not %d", r, must);
	if (memcmp(&result, &must_result, sizeof(result)))
		world_fail(w, "collapse_range counted wrongly");
	verify_flushes(w, s, &was);
	if (w->ref.npages <= 64) {
		if (w->eager)
			look_around(w);
		world_verify(w);
	}
	return !w->fault[0];
}

/* What a step that found no table may leave behind. */
static void take_over(struct world *w, const struct step *s)
{
	for (gfn_t i = 0; i < w->ref.npages; i++) {
		struct ept_state now = ept_lookup(&w->ept, i);
		struct ref_page *p = &w->ref.page[i];

		if (p->kind == EPT_NONE && now.level < p->level)
			world_fail(w, "an empty table is left at %lu", (long)i);
		/* Pieces may have become smaller. */
		if (now.level < p->level)
			p->level = (uint8_t)now.level;
		if (s->code == STEP_CLONE && now.cow)
			p->cow = true;
		if (s->code == STEP_TRACK && now.tracked && !p->tracked) {
			p->tracked = p->unreliable = true;
			w->ref.recent = true;
		}
	}
}

/* Others do something else for want of a table, or several things. */
static bool fails_alone(const struct step *s)
{
	return s->code != STEP_ARRIVE_ALL && s->code != STEP_SPLIT_RANGE &&
	       !(s->code == STEP_RESOLVE && s->write) && s->code != STEP_REACH;
}

bool world_step_fails(struct world *w, const struct step *s, unsigned int nth)
{
	struct ept_collapse_result result;
	int r;

	if (!fails_alone(s))
		return true;
	begin(w, s);
	w->fail_at = nth;
	r = run(w, s, &result);
	w->step = NULL;
	w->fail_at = 0;
	if (r != EPT_NO_TABLE)
		world_fail(w, "allocation %u failed, but %d was returned", nth, r);
	take_over(w, s);
	return world_verify(w);
}
