/* SPDX-License-Identifier: MIT */
/* The twins: table pages, hardware's accesses and the steps. See tests/host/model/twins.h. */
#include <stdlib.h>
#include <string.h>

#include "ept/access.h"
#include "ept/range.h"
#include "ept/track.h"
#include "tests/host/model/twins.h"

/* Hundreds of GiB apart, so that it shows where an address comes from. */
#define INTEL_BACKING (64 * GIB)
#define AMD_BACKING   (0x2a00 * GIB)

/* --- hardware ----------------------------------------------------------------------------------
 */

static bool covers(const struct tlb_pointer *p, gfn_t gfn)
{
	return p->level && p->gfn == ALIGN_DOWN(gfn, level_frames((enum pg_level)(p->level + 1)));
}

static void remember(struct twin *w, struct tlb_pointer p)
{
	w->pointer[w->npointers++ % TWIN_POINTERS] = p;
}

static void forget(struct twin *w, gfn_t gfn)
{
	for (int i = 0; i < TWIN_POINTERS; i++)
		if (covers(&w->pointer[i], gfn))
			w->pointer[i].level = 0;
}

static struct tlb_pointer start_of(const struct twin *w, gfn_t gfn, unsigned int way)
{
	for (int i = 0; way && i < TWIN_POINTERS; i++)
		if (covers(&w->pointer[i], gfn) && --way == 0)
			return w->pointer[i];
	return (struct tlb_pointer){ .table = w->ept.root, .level = PG_LEVEL_512G };
}

/* The address that the access reaches, less that of guest memory, or -EFAULT. */
static int64_t access(struct twin *w, gfn_t gfn, unsigned int perms, unsigned int way)
{
	struct tlb_pointer at = start_of(w, gfn, way);

	for (;; at.level--) {
		uint64_t base = ALIGN_DOWN(gfn, level_frames((enum pg_level)at.level));
		_Atomic uint64_t *e = frame_virt(&w->pool, at.table);
		struct bits b;

		e += gfn >> 9 * (at.level - 1) & (TWIN_ENTRIES - 1);
		b = w->hw->read(*e, at.level);
		if (b.sort == BITS_HIDDEN || (perms & ~b.perms)) {
			forget(w, gfn);
			return -EFAULT;
		}
		*e |= w->hw->accessed;
		if (b.sort == BITS_LEAF) {
			*e |= perms & EPT_W ? w->hw->dirty : 0;
			return (int64_t)(b.frame + ((gfn - base) << PAGE_SHIFT) - w->backing);
		}
		at.gfn = base;
		at.table = hpa(b.frame);
		remember(w, (struct tlb_pointer){ base, at.table, (uint8_t)(at.level - 1) });
	}
}

/* --- what the second stage asks for ------------------------------------------------------------
 */

static int table_alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	struct twin *w = ctx;
	const struct step *s = w->pair->step;
	unsigned int i = 0;

	(void)cpu;
	if (++w->allocs == w->pair->fail_at)
		return EPT_NO_TABLE;
	while (i < w->pair->ntables && w->pool.frames[i].state == FRAME_USED)
		i++;
	if (i == w->pair->ntables)
		return EPT_NO_TABLE;
	*table = hpa(WORLD_TABLES + (uint64_t)i * PAGE_SIZE);
	memset(frame_virt(&w->pool, *table), FRAME_JUNK, PAGE_SIZE);
	w->pool.frames[i].state = FRAME_USED;
	if (s && s->code == STEP_SPLIT && s->write && w->allocs == 1)
		(void)access(w, s->also, EPT_R | EPT_W, 0);
	return 0;
}

static void table_free(void *ctx, unsigned int cpu, hpa_t table)
{
	struct twin *w = ctx;

	(void)cpu;
	for (int i = 0; i < TWIN_POINTERS; i++)
		if (w->pointer[i].level && w->pointer[i].table.v == table.v)
			twins_fail(w->pair, "a table was freed while a CPU may still walk it");
	memset(frame_virt(&w->pool, table), FRAME_JUNK, PAGE_SIZE);
	frame_of(&w->pool, table)->state = FRAME_FREE;
}

static void flush(void *ctx, unsigned int cpu)
{
	struct twin *w = ctx;
	const struct step *s = w->pair->step;

	(void)cpu;
	if (s && s->code == STEP_SYNC && s->write)
		(void)access(w, s->also, EPT_R | EPT_W, s->way);
	memset(w->pointer, 0, sizeof(w->pointer));
	w->flushes++;
}

static const struct ept_ops twin_ops = { table_alloc, table_free, flush, NULL };

/* --- beginning and end -------------------------------------------------------------------------
 */

static void *clear_pages(uint64_t n)
{
	void *p = aligned_alloc(PAGE_SIZE, n * PAGE_SIZE);

	if (!p)
		abort();
	return memset(p, 0, n * PAGE_SIZE);
}

static void init_one(struct twins *t, struct twin *w, const struct ept_format *fmt,
		     enum pg_level leaf_max)
{
	void *tables = clear_pages(t->ntables);

	w->pair = t;
	w->seen = clear_pages(t->ntables);
	w->pool = (struct frame_pool){
		.frames = calloc(t->ntables, sizeof(struct frame)),
		.base_pfn = WORLD_TABLES >> PAGE_SHIFT,
		.nframes = t->ntables,
		.virt_offset = (uintptr_t)tables - WORLD_TABLES,
	};
	if (!w->pool.frames || ept_init(&w->ept, fmt, &twin_ops, w, &w->pool, leaf_max))
		abort();
	ept_gather_init(&w->gather, ept_cpu(&w->ept, 0));
}

void twins_init(struct twins *t, const struct ept_format *amd, enum pg_level leaf_max,
		unsigned int ntables)
{
	*t = (struct twins){
		.ntables = ntables,
		.level = calloc(ntables, 1),
		.intel = { .hw = &hardware_intel, .backing = INTEL_BACKING },
		.amd = { .hw = &hardware_amd, .backing = AMD_BACKING },
	};
	if (!t->level)
		abort();
	init_one(t, &t->intel, &ept_format_intel, leaf_max);
	init_one(t, &t->amd, amd, leaf_max);
}

/* No CPU walks any more. After a fault the tree is not to be trusted. */
static void destroy(struct twin *w)
{
	memset(w->pointer, 0, sizeof(w->pointer));
	if (!w->pair->fault[0])
		ept_destroy(&w->ept, 0);
	for (unsigned int i = 0; i < w->pair->ntables; i++)
		if (w->pool.frames[i].state == FRAME_USED)
			twins_fail(w->pair, "table page %u is left over", i);
	free(frame_virt(&w->pool, hpa(WORLD_TABLES)));
	free(w->pool.frames);
	free(w->seen);
}

void twins_set_nx(struct twins *t)
{
	ept_set_nx(&t->intel.ept);
	ept_set_nx(&t->amd.ept);
}

void twins_fini(struct twins *t)
{
	if (t->claimed && !t->fault[0])
		(void)twins_step(t, &(struct step){ .code = STEP_GIVE_UP }, 0);
	if (t->is_frozen && !t->fault[0])
		(void)twins_step(t, &(struct step){ .code = STEP_THAW }, 0);
	if (!t->fault[0])
		(void)twins_step(t, &(struct step){ .code = STEP_SYNC }, 0);
	destroy(&t->intel);
	destroy(&t->amd);
	free(t->level);
}

/* --- one step ----------------------------------------------------------------------------------
 */

static bool overlaps_claim(const struct twins *t, uint64_t gfn, uint64_t frames)
{
	const struct ept_claim *c = &t->intel.claim;

	return t->claimed && gfn < c->gfn + level_frames(c->level) && c->gfn < gfn + frames;
}

bool twins_allow(const struct twins *t, const struct step *s)
{
	switch (s->code) {
	case STEP_MAP:
		return !t->intel.gather.owed;
	case STEP_UNMAP:
	case STEP_PROTECT:
	case STEP_DISCARD:
	case STEP_POISON_RANGE:
	case STEP_TRACK:
	case STEP_UNTRACK:
		return !overlaps_claim(t, s->gfn, s->frames);
	case STEP_MOVE:
		return !overlaps_claim(t, s->gfn, s->frames) &&
		       !overlaps_claim(t, s->also, s->frames);
	case STEP_POISON:
		return !overlaps_claim(t, s->gfn, 1);
	case STEP_FREEZE:
		return !t->is_frozen;
	case STEP_THAW:
		return t->is_frozen;
	case STEP_FILL:
		return !t->claimed;
	case STEP_PUBLISH:
	case STEP_GIVE_UP:
		return t->claimed;
	case STEP_COPY:
		return false;
	default:
		return s->code < STEP_CLONE;
	}
}

/* All that a step may answer. Compared byte by byte. */
struct answer {
	int64_t r;
	uint64_t frame; /* of a claim, less guest memory's address */
	struct ept_collapse_result collapse;
	struct ept_split_result split;
	uint64_t reported[TWIN_ENTRIES / 64]; /* of the first pages that were collected */
	uint64_t allocs;
	uint64_t flushes;
	uint64_t gathered;
	uint64_t owed;
};

/* 1: published, 2: and that made the table complete. */
static int arrive(struct twin *w, gfn_t gfn, enum pg_level level, struct answer *a)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	struct ept_claim claim;
	int r;

	if (level == PG_LEVEL_4K && gfn & 1) {
		r = ept_arrive_in_place(me, gfn);
		if (r < 0)
			return r;
		a->frame += ept_lookup(&w->ept, gfn).frame.v - w->backing;
		return 1 + r;
	}
	r = ept_fill(me, gfn, level, &claim);
	if (r)
		return r;
	a->frame += claim.frame.v - w->backing;
	return 1 + ept_publish(me, &claim);
}

/* What is absent in the range, in the pieces that it has. */
static int arrive_all(struct twin *w, gfn_t gfn, uint64_t frames, struct answer *a)
{
	gfn_t end = gfn + frames;
	int sum = 0;

	while (gfn < end) {
		struct ept_state s = ept_lookup(&w->ept, gfn);
		enum pg_level level = s.level;
		int r = 0;

		while (level > PG_LEVEL_4K &&
		       (gfn % level_frames(level) || gfn + level_frames(level) > end))
			level--;
		if (s.kind == EPT_ABSENT)
			r = arrive(w, gfn, level, a);
		if (r < 0)
			return r;
		sum += r;
		gfn += level_frames(level);
	}
	return sum;
}

static int claim(struct twin *w, const struct step *s, struct answer *a)
{
	int r = ept_fill(ept_cpu(&w->ept, 1), s->gfn, (enum pg_level)s->level, &w->claim);

	if (!r)
		a->frame = w->claim.frame.v - w->backing;
	return r;
}

static int map(struct twin *w, const struct step *s)
{
	hpa_t at = hpa(w->backing + ((uint64_t)s->backing << PAGE_SHIFT));

	return ept_map(ept_cpu(&w->ept, 0), s->gfn, s->frames, at, s->perms,
		       (enum ept_memtype)s->memtype, (enum ept_kind)s->kind);
}

static int track(struct twin *w, const struct step *s, bool on)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	gfn_t next = s->gfn, end = s->gfn + s->frames;
	int r = 0;

	if (on)
		(void)!ept_track_begin(&w->ept, s->write ? EPT_TRACK_WRITES : EPT_TRACK_DIRTY);
	while (!r && next < end)
		r = on ? ept_track_some(me, &next, end, 600, &w->gather)
		       : ept_untrack_some(me, &next, end, 600, &w->gather);
	if (!r && !on)
		ept_track_end(&w->ept);
	return r;
}

static int64_t reach(struct twin *w, const struct step *s)
{
	hpa_t at;
	int r = ept_reach(ept_cpu(&w->ept, 0), s->gfn, s->write ? EPT_W : EPT_R, &at, &w->gather);

	return r ? r : (int64_t)(at.v - w->backing);
}

static bool thaw(struct twin *w, const struct step *s)
{
	/* Any other will do; it is not touched. */
	uint64_t further = s->write ? 256 * GIB : 0;

	return ept_thaw(ept_cpu(&w->ept, 1), &w->frozen, hpa(w->frozen.was.frame.v + further));
}

static int64_t zeros(struct twin *w, const struct step *s)
{
	struct ept_claim zero;
	int r = ept_fill_zero(ept_cpu(&w->ept, 0), s->gfn, (enum pg_level)s->level, &zero);

	return r ? r : 1 + ept_publish(ept_cpu(&w->ept, 0), &zero);
}

static int64_t run_more(struct twin *w, const struct step *s, struct answer *a)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	enum pg_level level = (enum pg_level)s->level;
	gfn_t next = s->gfn;

	switch (s->code) {
	case STEP_PROTECT:
		return ept_protect(me, s->gfn, s->frames, s->perms, &w->gather);
	case STEP_DISCARD:
		return ept_discard(me, s->gfn, s->frames, &w->gather);
	case STEP_FILL_ZERO:
		return zeros(w, s);
	case STEP_POISON_RANGE:
		return ept_poison_range(me, s->gfn, s->frames, &w->gather);
	case STEP_MOVE:
		return ept_move(me, s->gfn, s->also, s->frames, &w->gather);
	case STEP_SPLIT_RANGE:
		ept_split_range(me, s->gfn, s->frames, level, EPT_WHY_ASKED, &w->gather, &a->split);
		return 0;
	case STEP_TRACK:
	case STEP_UNTRACK:
		return track(w, s, s->code == STEP_TRACK);
	case STEP_COLLECT:
		return (int64_t)ept_track_collect(me, s->gfn,
						  MIN(s->frames, (uint32_t)TWIN_ENTRIES),
						  a->reported, &w->gather);
	case STEP_FETCH:
		return access(w, s->gfn, EPT_X, s->way);
	case STEP_RESOLVE:
		return ept_resolve(me, s->gfn, s->write ? EPT_W : EPT_X, &w->gather);
	case STEP_REACH:
		return reach(w, s);
	case STEP_FREEZE:
		return ept_freeze(ept_cpu(&w->ept, 1), s->gfn, level, EPT_WHY_COW, &w->frozen,
				  &w->gather);
	case STEP_THAW:
		return thaw(w, s);
	default:
		return ept_recover_nx(me, &next, s->gfn + s->frames, 1000, &w->gather);
	}
}

static int64_t run(struct twin *w, const struct step *s, struct answer *a)
{
	struct ept_cpu *me = ept_cpu(&w->ept, 0);
	enum pg_level level = (enum pg_level)s->level;

	switch (s->code) {
	case STEP_MAP:
		return map(w, s);
	case STEP_UNMAP:
		return ept_unmap(me, s->gfn, s->frames, &w->gather);
	case STEP_REQUEST:
		return ept_request(me, s->gfn);
	case STEP_ARRIVE:
		return arrive(w, s->gfn, level, a);
	case STEP_ARRIVE_ALL:
		return arrive_all(w, s->gfn, s->frames, a);
	case STEP_FILL:
		return claim(w, s, a);
	case STEP_PUBLISH:
		return ept_publish(ept_cpu(&w->ept, 1), &w->claim);
	case STEP_GIVE_UP:
		ept_give_up(ept_cpu(&w->ept, 1), &w->claim);
		return 0;
	case STEP_SPLIT:
		return ept_split(me, s->gfn, level, EPT_WHY_ASKED, &w->gather);
	case STEP_COLLAPSE:
		return ept_collapse(me, s->gfn, level, &w->gather);
	case STEP_COLLAPSE_RANGE:
		ept_collapse_range(me, s->gfn, s->frames, &w->gather, &a->collapse);
		return 0;
	case STEP_POISON:
		return ept_poison(me, s->gfn, &w->gather);
	case STEP_TOUCH:
		return access(w, s->gfn, s->perms, s->way);
	case STEP_SYNC:
		ept_sync(&w->gather);
		return 0;
	default:
		return run_more(w, s, a);
	}
}

static struct answer answer(struct twin *w, const struct step *s)
{
	struct answer a = { 0 };

	w->allocs = 0;
	a.r = run(w, s, &a);
	a.allocs = w->allocs;
	a.flushes = w->flushes;
	a.gathered = w->gather.n;
	a.owed = w->gather.owed;
	return a;
}

static void record(struct twins *t, const struct step *s, unsigned int fail_at)
{
	t->last[t->done % TWIN_KEPT] = *s;
	t->last_fail_at[t->done % TWIN_KEPT] = fail_at;
	t->done++;
	t->count[s->code]++;
}

bool twins_step(struct twins *t, const struct step *s, unsigned int fail_at)
{
	struct answer intel, amd;

	record(t, s, fail_at);
	t->step = s;
	t->fail_at = fail_at;
	intel = answer(&t->intel, s);
	amd = answer(&t->amd, s);
	t->step = NULL;
	t->starved += intel.r == EPT_NO_TABLE;
	if (s->code == STEP_FILL)
		t->claimed = intel.r == 0;
	else if (s->code == STEP_PUBLISH || s->code == STEP_GIVE_UP)
		t->claimed = false;
	if (s->code == STEP_FREEZE || s->code == STEP_THAW)
		t->is_frozen = s->code == STEP_FREEZE && intel.r == 0;
	if (memcmp(&intel, &amd, sizeof(amd)))
		twins_fail(t, "Intel answered %ld (%ld tables, %ld flushes), AMD %ld (%ld, %ld)",
			   (long)intel.r, (long)intel.allocs, (long)intel.flushes, (long)amd.r,
			   (long)amd.allocs, (long)amd.flushes);
	return twins_compare(t);
}
