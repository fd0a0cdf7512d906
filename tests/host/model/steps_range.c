/* SPDX-License-Identifier: MIT */
/* The world's steps on ranges, dirty tracking, accesses and other frames. See model/world.h. */
#include <stdlib.h>
#include <string.h>

#include "ept/access.h"
#include "ept/range.h"
#include "ept/relocate.h"
#include "ept/track.h"
#include "tests/host/model/world.h"

/* Frames that two may not have at once lie one above the other. */
uint64_t world_fresh(const struct world *w, gfn_t gfn, enum pg_level level)
{
	uint64_t is = world_frame(w->ref.page[gfn].frame), half = w->half;
	uint64_t fresh = is < half ? is + half : is % half;
	uint64_t n = fmt_frames(w->ref.fmt, level);

	for (gfn_t i = 0; w->has_clone && i < w->ref.npages; i++) {
		const struct ref_page *p = &w->clone.ref.page[i];

		if (p->kind != EPT_NONE && world_frame(p->frame) - fresh < n)
			return 0;
	}
	return WORLD_BACKING + (fresh << PAGE_SHIFT);
}

void world_copy(struct world *w, uint64_t from, uint64_t to, uint64_t frames)
{
	memcpy(&w->memory[world_frame(to)], &w->memory[world_frame(from)], frames);
	w->aliases = true;
}

/* The frame is nobody's now: who still reads it shall notice. */
static void leave(struct world *w, uint64_t frame, uint64_t frames)
{
	for (uint64_t i = 0; w->has_clone && i < w->ref.npages; i++)
		if (w->clone.ref.page[i].kind != EPT_NONE &&
		    w->clone.ref.page[i].frame - frame < frames << PAGE_SHIFT)
			return;
	memset(&w->memory[world_frame(frame)], CONTENT_LEFT, frames);
}

static bool can_move(const struct world *w, const struct step *s)
{
	uint64_t from = s->gfn, to = s->also, n = s->frames;

	return to + n <= w->ref.npages && (from + n <= to || to + n <= from);
}

static bool can_thaw(const struct world *w, const struct step *s)
{
	const struct ept_frozen *f = &w->frozen;

	return w->is_frozen &&
	       (!s->write || (!w->gather.owed && world_fresh(w, f->gfn, f->was.level)));
}

static bool needs_copy(const struct world *w, gfn_t gfn)
{
	const struct ref_page *p = &w->ref.page[gfn];

	return p->kind == EPT_PRESENT && p->cow && p->perms & EPT_W;
}

bool world_allows_more(const struct world *w, const struct step *s)
{
	switch (s->code) {
	case STEP_MOVE:
		return can_move(w, s) && !world_overlaps_claim(w, s->gfn, s->frames) &&
		       !world_overlaps_claim(w, s->also, s->frames);
	case STEP_PROTECT:
	case STEP_DISCARD:
	case STEP_POISON_RANGE:
	case STEP_TRACK:
	case STEP_UNTRACK:
		return !world_overlaps_claim(w, s->gfn, s->frames);
	case STEP_FETCH:
		return s->way < tlb_ways_of(&w->tlb, w->ref.fmt, s->gfn, EPT_X);
	case STEP_FREEZE:
		return !w->is_frozen && s->level <= w->ref.leaf_max;
	case STEP_THAW:
		return can_thaw(w, s);
	case STEP_COPY:
		return needs_copy(w, s->gfn) && world_fresh(w, s->gfn, PG_LEVEL_4K);
	case STEP_RECOVER_NX:
		return !w->pending_max || w->gather.n < w->pending_max;
	default:
		return true;
	}
}

/* --- dirty tracking --------------------------------------------------------------------------- */

static int64_t splits_of(const struct world *w)
{
	return w->ept.cpu[0].stats.splits_present + w->ept.cpu[0].stats.splits_absent;
}

static int track(struct world *w, const struct step *s)
{
	enum ept_track_by by = s->write || w->tlb.plain ? EPT_TRACK_WRITES : EPT_TRACK_DIRTY;
	bool on = w->ref.track != EPT_TRACK_NOT;
	gfn_t next = s->gfn, end = s->gfn + s->frames;
	int r = ept_track_begin(&w->ept, by);

	if (r != (on ? EPT_BUSY : 0))
		world_fail(w, "track_begin returned %d", r);
	if (!on)
		w->ref.track = by;
	for (r = 0; !r && next < end;) {
		gfn_t was = next;
		int64_t splits = splits_of(w);

		r = ept_track_some(ept_cpu(&w->ept, 0), &next, end, 3, &w->gather);
		if (!r && next == was && splits_of(w) == splits)
			world_fail(w, "track_some does not get on at %lu", (long)next);
	}
	return r;
}

static int untrack(struct world *w, const struct step *s)
{
	gfn_t next = s->gfn, end = s->gfn + s->frames;
	int r = 0;

	while (!r && next < end)
		r = ept_untrack_some(ept_cpu(&w->ept, 0), &next, end, 3, &w->gather);
	return r;
}

static int expect_untrack(struct world *w, const struct step *s)
{
	int r = ref_track(&w->ref, s->gfn, s->frames, false);

	if (w->ref.track != EPT_TRACK_NOT && !ref_tracked(&w->ref)) {
		ept_track_end(&w->ept);
		w->ref.track = EPT_TRACK_NOT;
	}
	return r;
}

static int collect(struct world *w, const struct step *s)
{
	uint64_t *bitmap = calloc((s->frames + 63) / 64, sizeof(*bitmap));
	bool *reported = calloc(s->frames, sizeof(*reported));
	bool exact = !w->gather.owed;
	uint64_t n, sum = 0;
	const char *wrong;

	if (!bitmap || !reported)
		abort();
	n = ept_track_collect(ept_cpu(&w->ept, 0), s->gfn, s->frames, bitmap, &w->gather);
	for (uint64_t i = 0; i < s->frames; i++)
		sum += reported[i] = bitmap[i / 64] >> i % 64 & 1;
	wrong = ref_collect(&w->ref, s->gfn, s->frames, reported, exact);
	if (wrong)
		world_fail(w, "%s", wrong);
	if (n != sum)
		world_fail(w, "%lu pages reported, %lu counted", (long)sum, (long)n);
	/* Where hardware marks what it walks, such a mark may have been cleared. */
	if (n ? !w->gather.owed : w->tlb.plain && exact && w->gather.owed)
		world_fail(w, "a collection of %lu pages owes %s flush", (long)n, n ? "no" : "a");
	free(bitmap);
	free(reported);
	return 0;
}

/* --- accesses and other frames -----------------------------------------------------------------
 */

static unsigned int access_of(const struct step *s)
{
	return s->write ? EPT_W : s->code == STEP_REACH ? EPT_R : EPT_X;
}

static int resolve(struct world *w, const struct step *s)
{
	unsigned int access = access_of(s);
	struct ept_state leaf;
	int r = ept_resolve(ept_cpu(&w->ept, 0), s->gfn, access, &w->gather);

	if (!r && (tlb_peek(&w->ept, s->gfn, &leaf) != TLB_HIT || (access & ~leaf.perms)))
		world_fail(w, "resolved, but hardware refuses the access still");
	return r;
}

static int reach(struct world *w, const struct step *s)
{
	hpa_t at = HPA_NONE;
	int r = ept_reach(ept_cpu(&w->ept, 0), s->gfn, access_of(s), &at, &w->gather);

	if (!r && at.v != w->ref.page[s->gfn].frame)
		world_fail(w, "reached %lx, not the page", (long)at.v);
	return r;
}

static int expect_access(struct world *w, const struct step *s, bool dirty)
{
	struct ref_page *p = &w->ref.page[s->gfn];
	int r;

	if (s->code == STEP_RESOLVE)
		return ref_resolve(&w->ref, s->gfn, access_of(s), dirty);
	r = ref_reach(&w->ref, s->gfn, access_of(s), dirty);
	if (!r && w->memory[world_frame(p->frame)] != p->content)
		world_fail(w, "the hypervisor finds other contents than the guest");
	if (!r && s->write)
		world_write(w, p->frame, CONTENT_HOST);
	return r;
}

static int freeze(struct world *w, const struct step *s)
{
	int r = ept_freeze(ept_cpu(&w->ept, 0), s->gfn, (enum pg_level)s->level, EPT_WHY_COW,
			   &w->frozen, &w->gather);

	w->is_frozen = r == 0;
	if (!r && w->frozen.was.frame.v != w->ref.page[s->gfn].frame)
		world_fail(w, "what was frozen is not the page's frame");
	return r;
}

static void thaw(struct world *w, const struct ept_frozen *f, uint64_t frame)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	uint64_t n = fmt_frames(w->ref.fmt, f->was.level), old = f->was.frame.v;
	bool full;

	if (frame != old) {
		world_copy(w, old, frame, n);
		leave(w, old, n);
	}
	full = ept_thaw(me, f, hpa(frame));
	if (full != ref_thaw(&w->ref, f->gfn, f->was.level, frame))
		world_fail(w, "thaw said %s, wrongly", full ? "complete" : "incomplete");
}

static int copy(struct world *w, const struct step *s)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	uint64_t to = world_fresh(w, s->gfn, PG_LEVEL_4K);
	struct ept_frozen f;
	int r = ept_resolve(me, s->gfn, EPT_W, &w->gather);

	if (r != EPT_FOREIGN) {
		world_fail(w, "a write to a shared frame was answered by %d", r);
		return r;
	}
	r = ept_freeze(me, s->gfn, PG_LEVEL_4K, EPT_WHY_COW, &f, &w->gather);
	if (r)
		return r;
	ept_sync(&w->gather);
	(void)ref_freeze(&w->ref, s->gfn, PG_LEVEL_4K);
	thaw(w, &f, to);
	return 0;
}

static int recover(struct world *w, const struct step *s)
{
	gfn_t next = s->gfn, end = s->gfn + s->frames;
	unsigned int budget = s->level ? s->level : 1, n = 0;

	while (next < end) {
		gfn_t was = next;

		n += ept_recover_nx(ept_cpu(&w->ept, 0), &next, end, budget, &w->gather);
		if (next == was) {
			world_fail(w, "recover_nx does not get on at %lu", (long)next);
			break;
		}
	}
	return (int)n;
}

/* --- dispatch --------------------------------------------------------------------------------- */

static int split_range(struct world *w, const struct step *s)
{
	struct ept_split_result is, must;

	ept_split_range(ept_cpu(&w->ept, 0), s->gfn, s->frames, (enum pg_level)s->level,
			EPT_WHY_ASKED, &w->gather, &is);
	ref_split_range(&w->ref, s->gfn, s->frames, (enum pg_level)s->level, &must);
	if (!is.refused[ept_nr(EPT_NO_TABLE)] && memcmp(&is, &must, sizeof(is)))
		world_fail(w, "split_range counted wrongly");
	return 0;
}

int world_run_more(struct world *w, const struct step *s)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);

	w->dirty = ept_lookup(&w->ept, s->gfn).dirty;
	switch (s->code) {
	case STEP_PROTECT:
		return ept_protect(me, s->gfn, s->frames, s->perms, &w->gather);
	case STEP_DISCARD:
		return ept_discard(me, s->gfn, s->frames, &w->gather);
	case STEP_POISON_RANGE:
		return ept_poison_range(me, s->gfn, s->frames, &w->gather);
	case STEP_MOVE:
		w->moved = w->aliases = true;
		return ept_move(me, s->gfn, s->also, s->frames, &w->gather);
	case STEP_SPLIT_RANGE:
		return split_range(w, s);
	case STEP_TRACK:
		return track(w, s);
	case STEP_COLLECT:
		return collect(w, s);
	case STEP_UNTRACK:
		return untrack(w, s);
	case STEP_FETCH:
		world_touch(w, s->gfn, EPT_X, s->way);
		return 0;
	case STEP_RESOLVE:
		return resolve(w, s);
	case STEP_REACH:
		return reach(w, s);
	case STEP_FREEZE:
		return freeze(w, s);
	case STEP_THAW:
		thaw(w, &w->frozen,
		     s->write ? world_fresh(w, w->frozen.gfn, w->frozen.was.level)
			      : w->frozen.was.frame.v);
		w->is_frozen = false;
		return 0;
	case STEP_COPY:
		return copy(w, s);
	default:
		return recover(w, s);
	}
}

int world_expect_more(struct world *w, const struct step *s, int r)
{
	struct reference *ref = &w->ref;

	switch (s->code) {
	case STEP_PROTECT:
		return ref_protect(ref, s->gfn, s->frames, s->perms);
	case STEP_DISCARD:
		return ref_discard(ref, s->gfn, s->frames);
	case STEP_POISON_RANGE:
		return ref_poison_range(ref, s->gfn, s->frames);
	case STEP_MOVE:
		return ref_move(ref, s->gfn, s->also, s->frames);
	case STEP_TRACK:
		return ref_track(ref, s->gfn, s->frames, true);
	case STEP_UNTRACK:
		return expect_untrack(w, s);
	case STEP_RESOLVE:
	case STEP_REACH:
		return expect_access(w, s, w->dirty);
	case STEP_FREEZE:
		return ref_freeze(ref, s->gfn, (enum pg_level)s->level);
	case STEP_RECOVER_NX:
		return (int)ref_recover_nx(ref, s->gfn, s->frames);
	default:
		return r;
	}
}
