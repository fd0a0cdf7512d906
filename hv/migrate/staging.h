/* SPDX-License-Identifier: MIT */
/*
 * Pages that came ahead of the switch-over. Their contents lie in the frames of the destination,
 * where they stay absent until its source answers that they are in place.
 */
#ifndef HV_MIGRATE_STAGING_H
#define HV_MIGRATE_STAGING_H

#include "hv/mem/bitmap.h"
#include "hv/mem/memory.h"

struct staging {
	struct memory *to;
	struct bitmap staged; /* pages whose contents lie in their frames, unchanged */
	uint64_t copied;      /* pages, once for each copy */
};

/* Return: 0; -ENOMEM. Call staging_end() in any case. */
int must_check staging_begin(struct staging *s, struct memory *to);

void stage(struct staging *s, gfn_t gfn, const void *page);

/* Forgets the page, if it was staged. Zeroes the frame: zeros that arrive in large pieces rely on
 * zeroed frames. */
void unstage(struct staging *s, gfn_t gfn);

void staging_end(struct staging *s);

#endif
