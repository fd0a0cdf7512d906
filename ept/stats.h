/* SPDX-License-Identifier: MIT */
/*
 * The second stage's counters: one list. Each CPU counts for itself with plain relaxed
 * stores, so a single CPU's value may be negative where another CPU undoes what it did; only the
 * sum over all CPUs means something.
 */
#ifndef EPT_STATS_H
#define EPT_STATS_H

#include <stdatomic.h>

#include "ept/refusal.h"
#include "mm/count.h"

/* X(name, what it counts) */
#define EPT_STATS(X)                                                                               \
	X(pages_4k, "leaves of 4 KiB that are present")                                            \
	X(pages_2m, "leaves of 2 MiB that are present")                                            \
	X(pages_1g, "leaves of 1 GiB that are present")                                            \
	X(tables, "table pages linked, the root included")                                         \
	X(arrivals, "claims that were published, of any size")                                     \
	X(duplicates, "fills refused because the page was here or under way")                      \
	X(requests, "pages asked for, first askers only")                                          \
	X(splits_absent, "absent entries split")                                                   \
	X(splits_present, "present leaves split")                                                  \
	X(split_races, "table pages built in vain: another CPU was first")                         \
	X(collapses, "tables collapsed into a leaf")                                               \
	X(late_bits, "tables in which hardware set accessed or dirty after the collapse")          \
	X(poisoned, "pages poisoned")                                                              \
	X(lost_early, "of these, before they had arrived")                                         \
	X(discarded, "pages discarded")                                                            \
	X(given_up, "of these, before they had arrived")                                           \
	X(write_faults, "first writes noted by dirty tracking")                                    \
	X(nx_splits, "leaves split because they were executed")                                    \
	X(relocated, "leaves that went to another frame")                                          \
	X(moved, "entries that went to another guest address")                                     \
	X(cloned, "entries copied into a clone")                                                   \
	X(syncs, "flushes asked for")                                                              \
	X(tables_freed, "table pages freed after a flush")

/* Of one CPU. */
struct ept_counters {
#define X(name, what) _Atomic int64_t name;
	EPT_STATS(X)
#undef X
	_Atomic int64_t refused[EPT_REFUSALS_N]; /* collapses, by ept_nr() of the refusal */
};

/* Sums over all CPUs, at one moment. */
struct ept_stats {
#define X(name, what) int64_t name;
	EPT_STATS(X)
#undef X
	int64_t refused[EPT_REFUSALS_N];
};

static inline void ept_stat_add(_Atomic int64_t *counter, int64_t n)
{
	count_own((_Atomic uint64_t *)counter, (uint64_t)n);
}

_Static_assert(offsetof(struct ept_counters, pages_1g) ==
		       offsetof(struct ept_counters, pages_4k) + 2 * sizeof(int64_t),
	       "the counters of leaves stand in the order of the levels");

/* The counter of present leaves of a level; the toy geometries of tests use the same three. */
static inline _Atomic int64_t *ept_stat_pages(struct ept_counters *s, enum pg_level level)
{
	return (_Atomic int64_t *)s + (level - PG_LEVEL_4K);
}

#endif
