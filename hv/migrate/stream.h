/* SPDX-License-Identifier: MIT */
/*
 * The background stream: in which order the pages that nobody has asked for yet are pulled. The
 * second stage itself says which are still owed; the stream only remembers where it looks next.
 */
#ifndef HV_STREAM_H
#define HV_STREAM_H

#include "hv/mem/pager.h"

#define STREAM_CHUNK    16 /* pages of one request */
#define STREAM_REQUESTS 16 /* under way at the most */

struct stream {
	struct pager *pager;
	enum config_order order;
	unsigned int window; /* pages under way at once */
	unsigned int rate;   /* pages per millisecond; UINT_MAX: no limit */

	gfn_t up;   /* next to look at, upwards */
	gfn_t down; /* one above the next to look at, downwards */
	bool turn;
	gfn_t centre;            /* ORDER_BUBBLE: the fault that it spreads from */
	uint64_t step;           /* ORDER_RANDOM: place in the permutation, */
	uint64_t period;         /* and its length */
	bool sweeping;           /* the order is through: collect what is left */
	struct page_reply zeros; /* a run that is being placed, piece by piece */
	bool zeros_came;         /* and something of it was not here yet */
	unsigned int under_way;  /* requests that are not answered: */
	struct {
		gfn_t gfn;
		uint64_t frames;
	} request[STREAM_REQUESTS];
	uint64_t begun; /* TSC */
	uint64_t sent;  /* pages */
};

void stream_init(struct stream *s, struct pager *pager, const struct run_config *config);

/* Places what has come and asks for more, a bounded amount of work. False: there was nothing to
 * do just now. */
bool stream_step(struct stream *s, unsigned int cpu);

/* Nothing that was asked for is still to come or to be placed. */
bool stream_idle(const struct stream *s);

#endif
