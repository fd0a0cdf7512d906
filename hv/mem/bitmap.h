/* SPDX-License-Identifier: MIT */
/* One bit for each 4 KiB page of a guest's memory. */
#ifndef HV_MEM_BITMAP_H
#define HV_MEM_BITMAP_H

#include "mm/types.h"

struct bitmap {
	uint64_t frames; /* bits */
	uint64_t *word;  /* NULL: not made, or given back */
};

/* Makes a bitmap of `frames` bits, all 0. -ENOMEM: b->word is NULL. */
int must_check bitmap_make(struct bitmap *b, uint64_t frames);

/* Gives the words back, if they were made. */
void bitmap_free(struct bitmap *b);

static inline bool bitmap_test(const struct bitmap *b, gfn_t gfn)
{
	return gfn < b->frames && b->word[gfn / 64] >> gfn % 64 & 1;
}

static inline void bitmap_set(struct bitmap *b, gfn_t gfn)
{
	b->word[gfn / 64] |= UINT64_C(1) << gfn % 64;
}

static inline void bitmap_clear(struct bitmap *b, gfn_t gfn)
{
	b->word[gfn / 64] &= ~(UINT64_C(1) << gfn % 64);
}

/* Bits that are set. */
uint64_t bitmap_count(const struct bitmap *b);

/* The first page from gfn on whose bit is set; b->frames: none. */
gfn_t bitmap_next(const struct bitmap *b, gfn_t gfn);

/* Are all bits of [gfn, gfn + n) set? Both are multiples of 64. */
bool bitmap_full(const struct bitmap *b, gfn_t gfn, uint64_t n);

#endif
