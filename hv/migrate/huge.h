/* SPDX-License-Identifier: MIT */
/* When large leaves came: the first, nine of ten, and the last. */
#ifndef HV_MIGRATE_HUGE_H
#define HV_MIGRATE_HUGE_H

#include "mm/types.h"

#define HUGE_STEPS 64

/* Counts 2 MiB that are mapped by a leaf of that size or by a larger one. Times are of the TSC. */
struct huge {
	uint64_t step; /* ranges from one of `at` to the next */
	unsigned int reached;
	uint64_t at[HUGE_STEPS]; /* when (i + 1) steps were there */
	uint64_t most;           /* ranges, so far */
	uint64_t first, last;    /* when the first of them was there, and the latest */
};

/* @frames: of the destination */
void huge_begin(struct huge *h, uint64_t frames);

/* So many ranges are there now. */
void huge_note(struct huge *h, uint64_t ranges);

/* When nine tenths of all that ever were there were there, to the next of the steps; 0: none was.
 */
uint64_t huge_most(const struct huge *h);

#endif
