/* SPDX-License-Identifier: MIT */
/* In-machine cases about levels: the ladder, split, collapse, and what the counters say of them. */
#include "tests/machine/cases.h"

#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define WORK (8 * MIB) /* where guests look, behind their image */

static struct ept_cpu *me(const struct lab *lab)
{
	return ept_cpu(&lab->vm->mem.ept, cpu_id());
}

static struct ept_gather *gather(const struct lab *lab)
{
	return &lab->vm->mem.gather[cpu_id()];
}

/* --- the ladder --------------------------------------------------------------------------- */

#define LADDER_END  (2 * GIB_FRAMES)
#define LADDER_HOLE (LADDER_END - 1)

/* A second GiB of guest memory on the same frame: the pages' words are the same in both. */
static const char *add_gib(struct lab *lab)
{
	if (ept_map(me(lab), GIB_FRAMES, GIB_FRAMES, backing_frame(&lab->vm->mem.backing, 0),
		    EPT_RWX, EPT_WB, EPT_ABSENT))
		return "the second GiB could not be mapped";
	lab->config.region = 2 * GIB;
	lab->vm->mem.end = LADDER_END;
	return NULL;
}

/* 1 GiB, 512 MiB, 256 MiB, ... 4 KiB; what is left is one page. */
static const char *climb(struct lab *lab)
{
	gfn_t gfn = GIB_FRAMES;

	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	for (uint64_t step = GIB_FRAMES / 2; step; step /= 2) {
		TRY(lab_fill_all(lab, gfn, gfn + step,
				 step >= RANGE_FRAMES ? PG_LEVEL_2M : PG_LEVEL_4K));
		gfn += step;
		TRY(lab_check(lab));
	}
	MUST(gfn == LADDER_HOLE, "the ladder does not end at the last page");
	return NULL;
}

static const char *hole_is_all_that_lacks(const struct lab *lab)
{
	struct ept_census census;

	ept_census(&lab->vm->mem.ept, 0, LADDER_END, &census);
	MUST(census.kind[EPT_ABSENT][PG_LEVEL_4K] == 1 &&
		     census.kind[EPT_ABSENT][PG_LEVEL_2M] == 0 &&
		     census.kind[EPT_ABSENT][PG_LEVEL_1G] == 0,
	     "there is more than one hole");
	MUST(ept_lookup(&lab->vm->mem.ept, LADDER_HOLE).kind == EPT_ABSENT,
	     "the hole is elsewhere");
	return NULL;
}

static const char *ladder(struct lab *lab)
{
	TRY(add_gib(lab));
	TRY(climb(lab));
	TRY(lab_leaves(lab, 511, 511, 1));
	TRY(hole_is_all_that_lacks(lab));
	/* A page of each 2 MiB leaf, others in each; then each page of the last 2 MiB. */
	TRY(lab_poke(lab, POKE_SHARE, WORK, 2 * GIB - 2 * MIB - WORK, 2 * MIB + 20 * KIB));
	TRY(lab_poke(lab, POKE_SHARE, 2 * GIB - 2 * MIB, 2 * MIB - PAGE_SIZE, PAGE_SIZE));
	MUST(!lab_faults(lab), "the guest faulted on pages that were there");
	MUST(ept_collapse(me(lab), GIB_FRAMES, PG_LEVEL_1G, gather(lab)) == EPT_HOLE,
	     "a range with a hole was not refused");
	TRY(lab_leaves(lab, 511, 511, 1));
	TRY(lab_poke(lab, POKE_SHARE, 2 * GIB - PAGE_SIZE, PAGE_SIZE, PAGE_SIZE));
	MUST(lab->asked == 1 && lab->asked_gfn[0] == LADDER_HOLE, "the hole was not asked for");
	MUST(lab_collapse(lab, 0, LADDER_END).collapsed == 2, "the ladder did not collapse");
	return lab_leaves(lab, 0, 0, 2);
}

/* --- holes -------------------------------------------------------------------------------- */

#define RANGE (WORK >> PAGE_SHIFT) /* first frame of a 2 MiB range */

static const char *hole_is_asked_for_exactly(struct lab *lab)
{
	const gfn_t hole = RANGE + 300;

	for (gfn_t gfn = RANGE; gfn < RANGE + RANGE_FRAMES; gfn++)
		if (gfn != hole)
			TRY(lab_fill(lab, gfn, PG_LEVEL_4K));
	TRY(lab_poke(lab, POKE_SHARE, WORK, 2 * MIB, PAGE_SIZE));
	MUST(lab->asked == 1, "not just one request");
	MUST(lab->asked_gfn[0] == hole && lab->asked_frames[0] == 1,
	     "the request is not for exactly that page");
	MUST(lab_faults(lab) == 1, "not just one fault");
	MUST(!lab_stats(lab).poisoned, "it was reported as poison");
	return NULL;
}

static const char *collapse_with_hole_is_refused(struct lab *lab)
{
	const gfn_t hole = RANGE + 511;
	struct ept_stats before;

	TRY(lab_fill_all(lab, RANGE, hole, PG_LEVEL_4K));
	before = lab_stats(lab);
	MUST(ept_collapse(me(lab), RANGE, PG_LEVEL_2M, gather(lab)) == EPT_HOLE,
	     "collapse of a range with a hole is not refused as such");
	MUST(lab_stats(lab).refused[ept_nr(EPT_HOLE)] == before.refused[ept_nr(EPT_HOLE)] + 1,
	     "the refusal is not counted");
	MUST(lab_collapse(lab, RANGE, RANGE_FRAMES).refused[ept_nr(EPT_HOLE)] == 1,
	     "the range is not refused");
	MUST(ept_lookup(&lab->vm->mem.ept, hole).kind == EPT_ABSENT, "the hole was filled");
	MUST(lab_stats(lab).pages_2m == before.pages_2m, "a leaf of 2 MiB covers the hole");
	return lab_poke(lab, POKE_SHARE, WORK, 2 * MIB - PAGE_SIZE, PAGE_SIZE);
}

static const char *collapse_twice(struct lab *lab)
{
	uint64_t flushes;
	int64_t syncs;

	TRY(lab_fill_all(lab, RANGE, RANGE + RANGE_FRAMES, PG_LEVEL_4K));
	TRY(lab_poke(lab, POKE_SHARE | POKE_WRITE, WORK, 2 * MIB, PAGE_SIZE));
	MUST(lab_collapse(lab, RANGE, RANGE_FRAMES).collapsed == 1, "it did not collapse");
	flushes = lab->vm->mem.tlb.generation;
	syncs = lab_stats(lab).syncs;
	MUST(lab_collapse(lab, RANGE, RANGE_FRAMES).collapsed == 0, "it collapsed twice");
	MUST(lab->vm->mem.tlb.generation == flushes && lab_stats(lab).syncs == syncs,
	     "the second collapse, which does nothing, sent a flush");
	MUST(ept_lookup(&lab->vm->mem.ept, RANGE + 1).dirty, "the dirty bit was lost");
	MUST(ept_lookup(&lab->vm->mem.ept, RANGE + 1).level == PG_LEVEL_2M, "it is still small");
	TRY(lab_poke(lab, POKE_SHARE, WORK, 2 * MIB, PAGE_SIZE));
	MUST(!lab_faults(lab), "the guest faulted");
	return NULL;
}

/* --- counters ----------------------------------------------------------------------------- */

/* The whole GiB arrives: one range in 4 KiB pages, all others in 2 MiB. */
static const char *arrive_mixed(struct lab *lab)
{
	TRY(lab_fill_all(lab, 0, RANGE_FRAMES, PG_LEVEL_4K));
	return lab_fill_all(lab, RANGE_FRAMES, GIB_FRAMES, PG_LEVEL_2M);
}

static const char *collapses_to_gib(struct lab *lab, int64_t n4k, int64_t n2m)
{
	struct ept_stats before = lab_stats(lab), after;

	TRY(lab_leaves(lab, n4k, n2m, 0));
	lab_collapse(lab, 0, GIB_FRAMES);
	after = lab_stats(lab);
	TRY(lab_leaves(lab, 0, 0, 1));
	MUST(after.tables == before.tables - 2, "two tables did not go away");
	MUST(after.tables_freed == before.tables_freed + 2, "two tables were not freed");
	TRY(lab_check(lab));
	return lab_poke(lab, POKE_SHARE, WORK, GIB - WORK, 34 * MIB + PAGE_SIZE);
}

static const char *zap(struct lab *lab)
{
	if (ept_unmap(me(lab), 0, GIB_FRAMES, gather(lab)))
		return "it could not be unmapped";
	ept_sync(gather(lab));
	TRY(lab_leaves(lab, 0, 0, 0));
	return backing_map(&lab->vm->mem.backing, me(lab)) ? "it could not be mapped again" : NULL;
}

static const char *collapse_changes_leaf_counters(struct lab *lab)
{
	TRY(arrive_mixed(lab));
	TRY(collapses_to_gib(lab, 512, 511));
	TRY(zap(lab));
	TRY(arrive_mixed(lab));
	TRY(collapses_to_gib(lab, 512, 511));
	/* Small for another reason than arrival. */
	MUST(!ept_split(me(lab), 5 * RANGE_FRAMES, PG_LEVEL_4K, EPT_WHY_ASKED, gather(lab)),
	     "it could not be split");
	ept_sync(gather(lab));
	TRY(lab_poke(lab, POKE_SHARE, WORK, GIB - WORK, 34 * MIB + PAGE_SIZE));
	return collapses_to_gib(lab, 512, 511);
}

/* Steps in a pseudo-random order; the counters must be right after each. */
static const char *statistics_equal_walk(struct lab *lab)
{
	uint64_t x = lab->config.seed;

	for (unsigned int i = 0; i < 400; i++) {
		uint64_t frames = lab->vm->mem.frames;
		struct ept_claim claim;
		gfn_t gfn;

		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		gfn = (x >> 33) % frames;
		if (x >> 62 == 0)
			lab_collapse(lab, 0, frames);
		else if (x >> 62 == 1 &&
			 !ept_split(me(lab), gfn, PG_LEVEL_4K, EPT_WHY_ASKED, gather(lab)))
			ept_sync(gather(lab));
		else if (!ept_fill(me(lab), ALIGN_DOWN(gfn, RANGE_FRAMES), PG_LEVEL_2M, &claim) ||
			 !ept_fill(me(lab), gfn, PG_LEVEL_4K, &claim))
			(void)ept_publish(me(lab), &claim);
		TRY(lab_check(lab));
	}
	MUST(lab_stats(lab).collapses && lab_stats(lab).splits_present, "nothing happened");
	return NULL;
}

/* --- one arrival -------------------------------------------------------------------------- */

static const char *one_arrival_exposes_no_neighbour(struct lab *lab)
{
	const gfn_t here = RANGE + 5;
	struct ept_census census;

	TRY(lab_fill(lab, here, PG_LEVEL_4K));
	ept_census(&lab->vm->mem.ept, 0, GIB_FRAMES, &census);
	MUST(census.kind[EPT_PRESENT][PG_LEVEL_4K] == 1 &&
		     census.kind[EPT_ABSENT][PG_LEVEL_4K] == 511 &&
		     census.kind[EPT_ABSENT][PG_LEVEL_2M] == 511 &&
		     census.kind[EPT_PRESENT][PG_LEVEL_2M] == 0,
	     "more than one page is there");
	/* Its neighbours, then the ranges around it, by the hardware's own walk. */
	TRY(lab_poke(lab, POKE_SHARE, WORK, 16 * PAGE_SIZE, PAGE_SIZE));
	MUST(lab->asked == 15, "not each of the 15 neighbours was asked for");
	TRY(lab_poke(lab, POKE_SHARE, WORK + 2 * MIB, GIB - WORK - 2 * MIB, 64 * MIB));
	MUST(lab->asked == 31, "not each page of 16 other ranges was asked for");
	for (unsigned int i = 0; i < lab->asked; i++)
		MUST(lab->asked_gfn[i] != here, "the page that had arrived was asked for");
	return NULL;
}

/* --- jobs --------------------------------------------------------------------------------- */

CASES_LEVELS(LAB_JOB)
