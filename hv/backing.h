/* SPDX-License-Identifier: MIT */
/* The host frames behind a guest's memory: naturally aligned blocks of one size. */
#ifndef HV_BACKING_H
#define HV_BACKING_H

#include "ept/ept.h"

struct backing {
	enum pg_level level; /* size of the blocks */
	uint64_t blocks;
	hpa_t *block; /* one address for each */
	unsigned int array_order;
};

/* Takes `frames` frames, a multiple of the block. -ENOMEM: nothing is taken. */
int must_check backing_take(struct backing *b, enum pg_level level, uint64_t frames);
void backing_give(struct backing *b);

/* Maps it all from gfn 0 on, absent. -ENOMEM. */
int must_check backing_map(const struct backing *b, struct ept_cpu *me);

#endif
