/* SPDX-License-Identifier: MIT */
/* The background stream: pulls the pages that nobody has asked for yet, in the order that was
 * configured (hv/order/order.h). */
#ifndef HV_MIGRATE_STREAM_H
#define HV_MIGRATE_STREAM_H

#include "hv/order/order.h"
#include "hv/source/source.h"

struct stream {
	struct memory *mem;
	const struct order *order;
	struct cursor cursor;
	uint64_t chunk;    /* pages of one request */
	uint64_t window;   /* pages under way at once */
	unsigned int rate; /* pages per millisecond; UINT_MAX: no limit */
	uint64_t begun;    /* TSC */
	uint64_t sent;     /* pages */

	struct page_reply run; /* a run that is being placed, piece by piece */
	bool run_came;         /* and something of it was not here yet */
};

void stream_init(struct stream *s, struct memory *mem, const struct run_config *config);

/* Places what has come and asks for more, a bounded amount of work. False: there was nothing to
 * do just now. */
bool stream_step(struct stream *s, unsigned int cpu);

/* Nothing that was asked for is still to come or to be placed. */
bool stream_idle(const struct stream *s);

#endif
