/* SPDX-License-Identifier: MIT */
/* The source of fresh memory: zeros, at hand. */
#include "hv/source/source.h"

static bool zero_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	(void)source;
	*reply = (struct page_reply){ .gfn = gfn, .frames = 1 };
	return true;
}

static const struct source_ops zero_ops = {
	.name = "zero",
	.now = zero_now,
};

struct page_source source_zero = { .ops = &zero_ops };
