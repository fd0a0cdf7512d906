/* SPDX-License-Identifier: MIT */
/*
 * order=replay: the pages in the order in which the guest touched them at another run, as
 * order=record has noted it, and then upwards what is left.
 */
#include "hv/order/list.h"

#include "hv/order/touches.h"

#define LOOKS 64 /* pages looked at in one step */

static void replay_begin(struct cursor *c)
{
	c->up = c->down = 0;
	c->entry = 0;
	c->within = 0;
}

static bool is_over(const struct cursor *c)
{
	return !c->replay || c->entry >= c->replay->n;
}

/* Goes on by so many pages of the recording. */
static void advance(struct cursor *c, uint64_t n)
{
	c->within += (uint32_t)n;
	if (c->within < c->replay->run[c->entry].frames)
		return;
	c->entry++;
	c->within = 0;
}

static bool replay_look(struct cursor *c, gfn_t *gfn)
{
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && !is_over(c); i++) {
		const struct touched *run = &c->replay->run[c->entry];

		*gfn = (gfn_t)run->gfn + c->within;
		c->most = run->frames - c->within;
		c->downwards = false;
		if (cursor_owed(c, *gfn, &from, &to))
			return true;
		advance(c, 1);
	}
	if (!is_over(c))
		return false;
	c->most = 0;
	return cursor_look_up(c, gfn);
}

static void replay_pass(struct cursor *c, gfn_t gfn, uint64_t n)
{
	if (is_over(c))
		cursor_pass(c, gfn, n);
	else if (gfn == (gfn_t)c->replay->run[c->entry].gfn + c->within)
		advance(c, n); /* else the policy wanted it */
}

static bool replay_through(const struct cursor *c)
{
	return is_over(c) && cursor_through(c);
}

const struct order order_replay = {
	.begin = replay_begin,
	.look = replay_look,
	.pass = replay_pass,
	.through = replay_through,
};
