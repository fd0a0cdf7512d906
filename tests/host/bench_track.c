/* SPDX-License-Identifier: MIT */
/*
 * Dirty tracking of 1 GiB that was one leaf, from the split ahead to that one leaf again. Tracking
 * goes by dirty bits, which the bench sets where hardware would.
 */
#include <string.h>

#include "ept/tree/slot.h"
#include "ept/track.h"
#include "tests/host/bench.h"

#define STEP 4096 /* entries in one bounded step */

static uint64_t bitmap[F_1G / 64];

static void through(struct space *space, uint64_t from, uint64_t to,
		    int (*some)(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
				struct ept_gather *g),
		    struct ept_gather *g)
{
	gfn_t next = from;

	while (next < to)
		must(some(ept_cpu(&space->ept, 0), &next, to, STEP, g) == 0, "tracking");
}

/* Every n-th page of the GiB is written. A walk marks the slot of its table before the leaf. */
static uint64_t write_every(struct space *space, unsigned int n)
{
	const struct ept_format *fmt = space->ept.fmt;
	uint64_t written = 0;

	for (gfn_t gfn = 0; gfn < F_1G; gfn += n, written++) {
		struct ept_slot table = slot_find(&space->ept, gfn, PG_LEVEL_2M);
		struct ept_slot s = slot_find(&space->ept, gfn, PG_LEVEL_4K);

		if (!(table.entry & fmt->accessed))
			atomic_fetch_or(table.at, fmt->accessed);
		atomic_fetch_or(s.at, fmt->accessed | fmt->dirty);
	}
	return written;
}

static double collect(struct space *space, uint64_t dirty)
{
	struct ept_gather g;
	uint64_t reported;
	double start;

	memset(bitmap, 0, sizeof(bitmap));
	ept_gather_init(&g, ept_cpu(&space->ept, 0));
	start = now();
	reported = ept_track_collect(ept_cpu(&space->ept, 0), 0, F_1G, bitmap, &g);
	ept_sync(&g);
	start = now() - start;
	must(reported == dirty, "collecting what was written");
	return start / 1e3;
}

/* How long until all is split and marked, flushed. */
static double begin(struct space *space)
{
	struct ept_gather g;
	double start = now();

	ept_gather_init(&g, ept_cpu(&space->ept, 0));
	through(space, 0, F_1G, ept_track_some, &g);
	ept_sync(&g);
	return (now() - start) / 1e3;
}

static void recover(struct space *space)
{
	struct ept_cpu *me = ept_cpu(&space->ept, 0);
	struct ept_collapse_result result;
	uint64_t flushes = space->flushes;
	struct ept_gather g;
	double start = now(), untracked;

	ept_gather_init(&g, me);
	through(space, 0, F_1G, ept_untrack_some, &g);
	untracked = now();
	ept_track_end(&space->ept);
	ept_collapse_range(me, 0, F_1G, &g, &result);
	ept_sync(&g);
	figure_note(RECOVER_GIB, (now() - start) / 1e3);
	figure_note(RECOVER_GIB_FLUSHES, (double)(space->flushes - flushes));
	figure_note(UNTRACK_GIB, (untracked - start) / 1e3);
	must(result.collapsed == 513, "recovery to one leaf");
}

/* 2 MiB by 2 MiB, each as a call of its own. */
static void recover_small(struct space *space)
{
	struct ept_cpu *me = ept_cpu(&space->ept, 0);
	struct ept_collapse_result result;
	struct ept_gather g;
	double start = now();

	ept_gather_init(&g, me);
	for (gfn_t gfn = 0; gfn < F_1G; gfn += F_2M) {
		through(space, gfn, gfn + F_2M, ept_untrack_some, &g);
		ept_collapse_range(me, gfn, F_2M, &g, &result);
		must(result.collapsed == 1, "recovery of 2 MiB");
		ept_sync(&g);
	}
	figure_note(RECOVER_2M, (now() - start) / 512);
	ept_track_end(&space->ept);
}

static void mark_again(struct space *space)
{
	struct ept_gather g;

	ept_gather_init(&g, ept_cpu(&space->ept, 0));
	through(space, 0, F_1G, ept_untrack_some, &g);
	ept_sync(&g);
	figure_note(MARK_GIB, begin(space));
}

void bench_track(struct space *space)
{
	space_map(space, EPT_PRESENT);
	must(ept_track_begin(&space->ept, EPT_TRACK_DIRTY) == 0, "track");
	figure_note(SPLIT_GIB, begin(space));
	figure_note(COLLECT_GIB_NONE, collect(space, 0));
	figure_note(COLLECT_GIB_1PCT, collect(space, write_every(space, 100)));
	figure_note(COLLECT_GIB_ALL, collect(space, write_every(space, 1)));
	mark_again(space);
	recover(space);
	must(ept_track_begin(&space->ept, EPT_TRACK_DIRTY) == 0, "track");
	(void)begin(space);
	recover_small(space);
	space_unmap(space);
}
