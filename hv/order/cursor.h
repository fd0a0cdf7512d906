/* SPDX-License-Identifier: MIT */
/*
 * Where the background stream looks for the next page to ask for. The second stage itself says
 * which pages are still owed; a cursor only remembers where it was.
 */
#ifndef HV_ORDER_CURSOR_H
#define HV_ORDER_CURSOR_H

#include "hv/mem/memory.h"

#define CURSOR_REQUESTS 16 /* requests that are not answered yet */

struct cursor {
	const struct memory *mem;
	uint64_t chunk; /* pages of one request */
	bool sweeping;  /* the order is through: look for what is left */

	gfn_t up;       /* next to look at, upwards */
	gfn_t down;     /* one above the next to look at, downwards */
	bool downwards; /* what was found last was found looking down */

	/* Of the orders that need them. */
	bool turn;
	gfn_t centre;
	uint64_t lcg, step, period;

	unsigned int under_way;
	struct {
		gfn_t gfn;
		uint64_t frames;
	} request[CURSOR_REQUESTS];
};

void cursor_init(struct cursor *c, const struct memory *mem, uint64_t chunk);

/* Should gfn be asked for? If not, *from and *to say what can be passed over with it. */
bool cursor_owed(const struct cursor *c, gfn_t gfn, gfn_t *from, gfn_t *to);

/* The next page that is owed, from where it looked last; a bounded number of entries is looked at.
 * False: none was found. */
bool cursor_look_up(struct cursor *c, gfn_t *gfn);
bool cursor_look_down(struct cursor *c, gfn_t *gfn);

/* The pages from *gfn on that are owed, a chunk at most; downwards if *gfn was found so. */
uint64_t cursor_extent(const struct cursor *c, gfn_t *gfn, uint64_t most);

/* [gfn, gfn + n), of which something was found to be owed, was asked for, or placed. */
void cursor_pass(struct cursor *c, gfn_t gfn, uint64_t n);

/* There is nothing left, upwards nor downwards. */
bool cursor_through(const struct cursor *c);

/* A request was sent, or answered. */
void cursor_sent(struct cursor *c, gfn_t gfn, uint64_t n);
void cursor_answered(struct cursor *c, gfn_t gfn);

#endif
