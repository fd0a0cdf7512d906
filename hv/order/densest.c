/* SPDX-License-Identifier: MIT */
/*
 * order=densest: what makes a large leaf soonest comes first. It asks for one page of each range of
 * 2 MiB: a range of zeros is complete by that. Then it fills the ranges that lack least, in sweeps:
 * each takes what has at least so many pages by then.
 */
#include "hv/order/list.h"

#define LOOKS  64 /* ranges looked at in one step */
#define FRAMES 512

/* Pages that a range must have to be filled, sweep by sweep. The first asks for one page. */
static const unsigned int least[] = { 0, 448, 384, 256, 128, 64, 16, 0 };

#define SWEEPS ARRAY_LEN(least)

static void densest_begin(struct cursor *c)
{
	c->up = c->down = 0;
	c->sweep = 0;
	c->most = 1;
}

static bool is_chosen(const struct cursor *c, gfn_t range)
{
	enum pg_level level;
	unsigned int here = ept_filled(&c->mem->ept, range, &level);

	return c->sweep ? here >= least[c->sweep] : !here;
}

static void next_sweep(struct cursor *c)
{
	c->sweep++;
	c->most = 0;
	c->up = c->sweep < SWEEPS ? 0 : c->mem->end;
}

/* The first page that is owed of the range, from where it looked last. */
static bool look_within(struct cursor *c, gfn_t *gfn)
{
	gfn_t end = ALIGN_DOWN(c->up, FRAMES) + FRAMES, from, to;

	for (; c->up < MIN(end, c->mem->end); c->up = to) {
		if (cursor_owed(c, c->up, &from, &to)) {
			*gfn = c->up;
			return true;
		}
		if (!c->sweep)
			break;
	}
	c->up = MAX(c->up, end);
	return false;
}

static bool densest_look(struct cursor *c, gfn_t *gfn)
{
	c->downwards = false;
	for (unsigned int i = 0; i < LOOKS && c->sweep < SWEEPS; i++) {
		if (c->up >= c->mem->end)
			next_sweep(c);
		else if (c->up % FRAMES && look_within(c, gfn))
			return true;
		else if (c->up % FRAMES)
			continue;
		else if (is_chosen(c, c->up) && look_within(c, gfn))
			return true;
		else
			c->up = ALIGN_DOWN(c->up, FRAMES) + FRAMES;
	}
	return false;
}

static void densest_pass(struct cursor *c, gfn_t gfn, uint64_t n)
{
	if (c->up - gfn < n)
		c->up = c->sweep ? gfn + n : ALIGN_DOWN(gfn, FRAMES) + FRAMES;
}

static bool densest_through(const struct cursor *c)
{
	return c->sweep >= SWEEPS;
}

const struct order order_densest = {
	.begin = densest_begin,
	.look = densest_look,
	.pass = densest_pass,
	.through = densest_through,
};
