/* SPDX-License-Identifier: MIT */
/*
 * Watching which parts of a running guest's memory are hot (ept/monitor.h), and making large what
 * is hot first. Whoever keeps house calls watch_poll() as often as it likes; the rest is time.
 */
#ifndef HV_WATCH_H
#define HV_WATCH_H

#include "ept/monitor.h"
#include "hv/mem/memory.h"

struct watch_config {
	gfn_t gfn;
	uint64_t frames;
	unsigned int min, max; /* regions: see ept_monitor_begin() */
	uint64_t seed;         /* of the samples' choice */
	uint64_t interval_us;  /* from a sample to its count */
	unsigned int every;    /* intervals from one adapting to the next */
};

struct watch {
	struct memory *mem;
	struct watch_config config;
	struct ept_monitor monitor;
	uint64_t due; /* TSC */
	bool sampled; /* an interval is under way */

	/* What it cost, and what for. */
	uint64_t entries;   /* looked at, in samples and counts */
	uint64_t flushes;   /* at most one an interval */
	uint64_t intervals; /* that ended */
	uint64_t adapted;   /* times */
};

/* Return: 0, or -EINVAL: see ept_monitor_begin(), or `every` is 0. */
int must_check watch_begin(struct watch *w, struct memory *mem, const struct watch_config *config);

/* Does what is due; flushes at the most once. */
void watch_poll(struct watch *w);

/**
 * watch_collapse() - collapse, in place and without copies, what is hot: the hottest region first,
 * and only ranges of 2 MiB that lie wholly in what is hot.
 * @least: intervals, of `every`, in which it was accessed, from which a region is hot
 * @budget: tables to collapse at the most
 * Return: how many collapsed. What is not hot stays as it is.
 */
unsigned int watch_collapse(struct watch *w, unsigned int least, unsigned int budget);

#endif
