/* SPDX-License-Identifier: MIT */
/* What came ahead of the switch-over: see hv/migrate/staging.h. */
#include "hv/source/source.h"

bool source_staged(const struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	const uint64_t frames = level_frames(PG_LEVEL_2M);

	if (!bitmap_test(source->staged, gfn))
		return false;
	*reply = (struct page_reply){ .gfn = gfn, .frames = 1, .in_place = true };
	if (bitmap_full(source->staged, ALIGN_DOWN(gfn, frames), frames)) {
		reply->gfn = ALIGN_DOWN(gfn, frames);
		reply->frames = frames;
	}
	return true;
}
