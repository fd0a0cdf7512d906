/* SPDX-License-Identifier: MIT */
/*
 * Access monitoring: which parts of guest memory are hot? As DAMON does it: memory is divided into
 * regions, and in each interval one page of each region stands for all of it. Where the pages of a
 * region differ, it is divided; neighbours that are alike become one. So the cost depends on the
 * number of regions, not on the size of the memory.
 *
 *	ept_monitor_begin()
 *	each interval:	ept_monitor_sample(), ept_sync(); the guest runs; ept_monitor_count()
 *	every so many:	ept_monitor_adapt()
 *
 * A sample clears the accessed bit of whatever entry maps the page, at any level: one flush for all
 * regions. A large leaf's bit speaks for all that it maps.
 */
#ifndef EPT_MONITOR_H
#define EPT_MONITOR_H

#include "ept/ept.h"

#define EPT_REGIONS_MAX 64

struct ept_region {
	gfn_t gfn;
	uint64_t frames;
	gfn_t sample;      /* the page that stands for it in this interval */
	bool sampled;      /* its accessed bit was cleared */
	unsigned int hits; /* intervals since the last adapt() in which it was accessed */
	unsigned int heat; /* hits as of the last adapt() */
	unsigned int age;  /* adapt()s in a row in which its heat hardly changed */
};

struct ept_monitor {
	unsigned int min, max; /* regions; none has more than its share of min, merged */
	unsigned int n;
	unsigned int intervals; /* since the last adapt() */
	uint64_t random;
	struct ept_region region[EPT_REGIONS_MAX];
};

/**
 * ept_monitor_begin() - watch [gfn, gfn + frames) of this address space.
 * @min, @max: regions at least and at most; max <= EPT_REGIONS_MAX, min <= max / 2, min <= frames
 * @seed: of the samples' choice
 * Return: 0 or EPT_INVALID.
 */
int must_check ept_monitor_begin(struct ept_monitor *m, const struct ept *ept, gfn_t gfn,
				 uint64_t frames, unsigned int min, unsigned int max,
				 uint64_t seed);

/* Begins an interval. Flush: owed, through @g; without it what is hot looks cold. */
void ept_monitor_sample(struct ept_monitor *m, struct ept_cpu *me, struct ept_gather *g);

/* Ends an interval. */
void ept_monitor_count(struct ept_monitor *m, const struct ept *ept);

/* Merges neighbouring regions whose heat is alike, up to 1 / min of the memory each, and divides
 * the others, so that the next samples come from other places. The heat of a region is the number
 * of intervals in which it was accessed. */
void ept_monitor_adapt(struct ept_monitor *m);

/**
 * ept_touched() - which leaves did the guest need, in one interval? Clears their accessed bits: no
 * samples, every leaf is looked at, in bounded steps.
 * @next: where to go on; advanced. end: done
 * @budget: look at so many entries
 * Return: leaves of any size that were accessed since they were looked at last.
 * Flush: owed, through @g; without it what is touched again is not seen again.
 */
unsigned int ept_touched(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
			 struct ept_gather *g);

/* Region numbers by falling heat; returns how many have at least `least`. */
unsigned int ept_monitor_hottest(const struct ept_monitor *m, unsigned int least,
				 uint8_t order[EPT_REGIONS_MAX]);

#endif
