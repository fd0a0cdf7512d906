/* SPDX-License-Identifier: MIT */
/* The background stream pulls the pages that nobody has asked for yet, in the configured order
 * (hv/order/order.h). */
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
	uint64_t begun;    /* TSC: at this rate */
	uint64_t sent;     /* pages since then */
	uint64_t healed;   /* pages asked for again, whose answer has come without them */

	struct page_reply run; /* the run that it places, piece by piece */
	bool run_came;         /* part of the run was not here yet */
};

/* @replay: for order=replay; stays the caller's */
void stream_init(struct stream *s, struct memory *mem, const struct run_config *config,
		 const struct touches *replay);

/* Places an answer and asks for more, a bounded amount of work. False: nothing to do just now.
 * Flush: owed if a range collapsed, through mem->gather[cpu]. Boot CPU only. */
bool stream_step(struct stream *s, unsigned int cpu);

/* Goes on at another rate. @rate: pages per millisecond; 0: only what somebody waits for comes */
void stream_set_rate(struct stream *s, unsigned int rate);

/* Has it placed all that it asked for? */
bool stream_idle(const struct stream *s);

#endif
