/* SPDX-License-Identifier: MIT */
/*
 * Where the background stream looks for the next page to ask for. The second stage itself says
 * which pages are still owed; a cursor only remembers where it was.
 */
#ifndef HV_ORDER_CURSOR_H
#define HV_ORDER_CURSOR_H

#include "hv/mem/memory.h"

#define CURSOR_REQUESTS 64 /* requests that are not answered yet */

struct touches;

struct cursor {
	const struct memory *mem;
	uint64_t chunk; /* pages of one request */
	uint64_t most;  /* that the order lets the next request have; 0: a chunk */
	bool sweeping;  /* the order is through: look for what is left */

	gfn_t up;       /* next to look at, upwards */
	gfn_t down;     /* one above the next to look at, downwards */
	bool downwards; /* the last page was found looking down */

	/* Of the orders that need them. */
	bool turn;
	gfn_t centre;
	uint64_t lcg, step, period;
	unsigned int sweep;
	const struct touches *replay; /* the owner's, or NULL */
	uint64_t entry;               /* of it */
	uint32_t within;              /* pages of that entry that are done */

	unsigned int under_way;
	struct {
		gfn_t gfn;
		uint64_t frames;
	} request[CURSOR_REQUESTS];
};

void cursor_init(struct cursor *c, const struct memory *mem, uint64_t chunk);

/* Must somebody ask for gfn? If not, pass over [*from, *to). */
bool cursor_owed(const struct cursor *c, gfn_t gfn, gfn_t *from, gfn_t *to);

/* Finds the next owed page, from where it looked last; looks at a bounded number of entries. False:
 * none found. */
bool cursor_look_up(struct cursor *c, gfn_t *gfn);
bool cursor_look_down(struct cursor *c, gfn_t *gfn);

/* Counts the owed pages from *gfn on, at most `most`; lowers *gfn if it was found looking down. */
uint64_t cursor_extent(const struct cursor *c, gfn_t *gfn, uint64_t most);

/* Moves on: [gfn, gfn + n) was asked for, or placed. */
void cursor_pass(struct cursor *c, gfn_t gfn, uint64_t n);

/* Is nothing left, upwards or downwards? */
bool cursor_through(const struct cursor *c);

/* Note that a request was sent, or answered. */
void cursor_sent(struct cursor *c, gfn_t gfn, uint64_t n);
void cursor_answered(struct cursor *c, gfn_t gfn);

#endif
