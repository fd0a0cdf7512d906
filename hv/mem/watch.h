/* SPDX-License-Identifier: MIT */
/*
 * Watching which parts of a running guest's memory are hot (ept/monitor.h), and collapsing these
 * first. Call watch_poll() as often as you like: intervals end by time.
 */
#ifndef HV_WATCH_H
#define HV_WATCH_H

#include "ept/monitor.h"
#include "hv/mem/memory.h"

struct watch_config {
	gfn_t gfn;
	uint64_t frames;
	unsigned int min, max; /* regions: see ept_monitor_begin() */
	uint64_t seed;         /* chooses the samples */
	uint64_t interval_us;  /* from a sample to its count */
	unsigned int every;    /* intervals between two adaptations of the regions */
};

struct watch {
	struct memory *mem;
	struct watch_config config;
	struct ept_monitor monitor;
	uint64_t due; /* TSC */
	bool sampled; /* an interval is under way */

	/* What it cost, and what for. */
	uint64_t entries;   /* looked at, in samples and counts */
	uint64_t flushes;   /* at most one per interval */
	uint64_t intervals; /* that ended */
	uint64_t adapted;   /* adaptations */
};

/* Begins to watch. Return: 0, or EPT_INVALID: see ept_monitor_begin(); or `every` is 0. */
int must_check watch_begin(struct watch *w, struct memory *mem, const struct watch_config *config);

/* Ends the interval if it is over, and begins the next. Flushes at most once. */
void watch_poll(struct watch *w);

/**
 * watch_collapse() - collapse hot regions in place, without copies, the hottest first; and only
 * ranges of 2 MiB that lie wholly in hot regions.
 * @least: a region is hot if it was accessed in at least this many of the last `every` intervals
 * @budget: collapse at most this many tables
 * Return: the number of tables that collapsed. Flush: made.
 */
unsigned int watch_collapse(struct watch *w, unsigned int least, unsigned int budget);

#endif
