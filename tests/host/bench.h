/* SPDX-License-Identifier: MIT */
/*
 * What the host's benchmarks share: an address space over real frames and a real table cache, with
 * a flush that only counts, and the figures. A figure is measured once in each round; the report
 * has median, lowest and highest.
 */
#ifndef TESTS_HOST_BENCH_H
#define TESTS_HOST_BENCH_H

#include <time.h>

#include "ept/ept.h"
#include "mm/table_cache.h"
#include "tests/host/arena.h"

#define F_2M  512u
#define F_1G  (512u * 512u)
#define GUEST (UINT64_C(1) << 40) /* backing: entries only, never touched */

#define BENCH_ROUNDS_MAX 128

enum figure {
	COPY_4K,
	ARRIVAL_4K,
	ARRIVAL_4K_SCATTERED,
	COLLAPSE_512,
	COLLAPSE_GIB,
	COLLAPSE_GIB_FLUSHES,
	SPLIT_GIB,
	MARK_GIB,
	COLLECT_GIB_NONE,
	COLLECT_GIB_1PCT,
	COLLECT_GIB_ALL,
	UNTRACK_GIB,
	RECOVER_GIB,
	RECOVER_GIB_FLUSHES,
	RECOVER_2M,
	ARRIVAL_APART,
	ENTRY_SHARED,
	/* What two threads do with something that they share, in what they do with one each: by
	 * the processor's time, then by the wall clock. */
	TWO_DIFFERENT,
	TWO_DIFFERENT_WALL,
	TWO_SAME,
	TWO_SAME_WALL,
	TWO_ENTRIES,
	TWO_ENTRIES_WALL,
	TWO_COPY_SAME,
	TWO_COPY_SAME_WALL,
	TWO_TWICE,
	FIGURES,
};

/* One more round's value. */
void figure_note(enum figure figure, double value);

/* The median of what was noted. */
double figure_median(enum figure figure);

/* The table, to standard output; the same as JSON to `path`, if that is not NULL. */
void figures_report(const char *path);

struct space {
	struct arena arena;
	struct table_cache tables;
	struct ept ept;
	_Atomic uint64_t flushes;
};

/* An empty address space with tables for 1 GiB of 4 KiB entries in reserve. */
void space_init(struct space *space);

/* The first GiB, in one entry. */
void space_map(struct space *space, enum ept_kind kind);
void space_unmap(struct space *space);

void must(bool ok, const char *what);

/* Nanoseconds. */
static inline double clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Of the processor's time, so that what else runs on this machine does not count. */
static inline double now(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* bench_track.c: one round. */
void bench_track(struct space *space);

/* bench_threads.c: so many rounds. */
void bench_threads(unsigned int rounds);

#endif
