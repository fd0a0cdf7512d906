/* SPDX-License-Identifier: MIT */
/* Pages that came ahead. See hv/migrate/staging.h. */
#include "hv/migrate/staging.h"

#include "mm/machine.h"

int staging_begin(struct staging *s, struct memory *to)
{
	*s = (struct staging){ .to = to };
	return bitmap_make(&s->staged, to->frames);
}

/* The frame for a page, whose entry is absent. */
static void *frame_at(const struct staging *s, gfn_t gfn)
{
	return direct(backing_frame(&s->to->backing, gfn));
}

void stage(struct staging *s, gfn_t gfn, const void *page)
{
	__builtin_memcpy(frame_at(s, gfn), page, PAGE_SIZE);
	bitmap_set(&s->staged, gfn);
	s->copied++;
}

void unstage(struct staging *s, gfn_t gfn)
{
	if (!bitmap_test(&s->staged, gfn))
		return;
	bitmap_clear(&s->staged, gfn);
	__builtin_memset(frame_at(s, gfn), 0, PAGE_SIZE);
}

void staging_end(struct staging *s)
{
	bitmap_free(&s->staged);
}
