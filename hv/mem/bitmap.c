/* SPDX-License-Identifier: MIT */
/* Bits for pages. See hv/mem/bitmap.h. */
#include "hv/mem/bitmap.h"

#include "hv/base/panic.h"
#include "mm/err.h"
#include "mm/machine.h"

static uint64_t words(const struct bitmap *b)
{
	return (b->frames + 63) / 64;
}

static unsigned int order_of(const struct bitmap *b)
{
	return frame_order(words(b) * sizeof(uint64_t));
}

int bitmap_make(struct bitmap *b, uint64_t frames)
{
	hpa_t at;

	*b = (struct bitmap){ .frames = frames };
	at = frame_alloc(&machine_frames, order_of(b));
	if (at.v == HPA_NONE.v)
		return -ENOMEM;
	b->word = direct(at);
	__builtin_memset(b->word, 0, words(b) * sizeof(uint64_t));
	return 0;
}

void bitmap_free(struct bitmap *b)
{
	if (b->word && frame_free(&machine_frames, direct_hpa(b->word), order_of(b)))
		panic("a bitmap was not ours to free");
	b->word = NULL;
}

uint64_t bitmap_count(const struct bitmap *b)
{
	uint64_t n = 0;

	for (gfn_t gfn = bitmap_next(b, 0); gfn < b->frames; gfn = bitmap_next(b, gfn + 1))
		n++;
	return n;
}

gfn_t bitmap_next(const struct bitmap *b, gfn_t gfn)
{
	while (gfn < b->frames) {
		uint64_t rest = b->word[gfn / 64] >> gfn % 64;

		if (rest)
			return MIN(gfn + (unsigned int)__builtin_ctzll(rest), b->frames);
		gfn = ALIGN_DOWN(gfn, 64) + 64;
	}
	return b->frames;
}

bool bitmap_full(const struct bitmap *b, gfn_t gfn, uint64_t n)
{
	uint64_t all = ~UINT64_C(0);

	if (gfn + n > b->frames)
		return false;
	for (uint64_t i = gfn / 64; i < (gfn + n) / 64; i++)
		all &= b->word[i];
	return all == ~UINT64_C(0);
}
