/* SPDX-License-Identifier: MIT */
/* Looking for pages that are owed. See hv/order/cursor.h. */
#include "hv/order/cursor.h"

#include "hv/source/source.h"

#define LOOKS 64 /* entries looked at in one step */

void cursor_init(struct cursor *c, const struct memory *mem, uint64_t chunk)
{
	*c = (struct cursor){ .mem = mem, .chunk = chunk };
}

/* Frames from gfn on that a request under way covers; 0: none. */
static uint64_t coming(const struct cursor *c, gfn_t gfn)
{
	for (unsigned int i = 0; i < c->under_way; i++)
		if (gfn - c->request[i].gfn < c->request[i].frames)
			return c->request[i].gfn + c->request[i].frames - gfn;
	return 0;
}

bool cursor_owed(const struct cursor *c, gfn_t gfn, gfn_t *from, gfn_t *to)
{
	struct ept_state e = ept_lookup(&c->mem->ept, gfn);
	uint64_t n;

	if (e.kind != EPT_ABSENT || e.zero || (e.requested && !c->sweeping)) {
		*from = ALIGN_DOWN(gfn, level_frames(e.level));
		*to = *from + level_frames(e.level);
		return false;
	}
	n = coming(c, gfn);
	*from = gfn;
	*to = gfn + MAX(n, UINT64_C(1));
	return !n;
}

bool cursor_look_up(struct cursor *c, gfn_t *gfn)
{
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && c->up < c->mem->end; i++) {
		if (cursor_owed(c, c->up, &from, &to)) {
			*gfn = c->up;
			c->downwards = false;
			return true;
		}
		c->up = to;
	}
	return false;
}

bool cursor_look_down(struct cursor *c, gfn_t *gfn)
{
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && c->down; i++) {
		if (cursor_owed(c, c->down - 1, &from, &to)) {
			*gfn = c->down - 1;
			c->downwards = true;
			return true;
		}
		c->down = from;
	}
	return false;
}

/* What is in place already is asked for by nobody. */
static bool is_to_ask_for(const struct cursor *c, gfn_t gfn)
{
	const struct bitmap *staged = c->mem->pager.source->staged;
	gfn_t from, to;

	return !(staged && bitmap_test(staged, gfn)) && cursor_owed(c, gfn, &from, &to);
}

static uint64_t extent_up(const struct cursor *c, gfn_t gfn, uint64_t most)
{
	uint64_t n = 1;

	while (n < most && gfn + n < c->mem->end && is_to_ask_for(c, gfn + n))
		n++;
	return n;
}

uint64_t cursor_extent(const struct cursor *c, gfn_t *gfn, uint64_t most)
{
	uint64_t n = 1;

	if (!c->downwards)
		return extent_up(c, *gfn, most);
	for (; n < most && *gfn && is_to_ask_for(c, *gfn - 1); n++)
		(*gfn)--;
	return n;
}

void cursor_pass(struct cursor *c, gfn_t gfn, uint64_t n)
{
	if (c->up - gfn < n)
		c->up = gfn + n;
	else if (c->down > gfn && c->down <= gfn + n)
		c->down = gfn;
}

bool cursor_through(const struct cursor *c)
{
	return c->up >= c->mem->end && c->down == 0;
}

void cursor_sent(struct cursor *c, gfn_t gfn, uint64_t n)
{
	c->request[c->under_way].gfn = gfn;
	c->request[c->under_way++].frames = n;
}

void cursor_answered(struct cursor *c, gfn_t gfn)
{
	for (unsigned int i = 0; i < c->under_way; i++)
		if (c->request[i].gfn == gfn) {
			c->request[i] = c->request[--c->under_way];
			return;
		}
}
