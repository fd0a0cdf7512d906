/* SPDX-License-Identifier: MIT */
/*
 * How fast to ask: the round trip's estimate, when to ask again, how much to have under way, and
 * how much the link loses. All times in microseconds.
 */
#ifndef HV_LINK_PACE_H
#define HV_LINK_PACE_H

#include "mm/types.h"

#define PACE_SCALE 1024 /* fractions of one */

/* An estimate of the round trip; 0: no sample yet. */
struct pace_trip {
	uint64_t smooth, deviation;
};

struct pace {
	uint64_t min_wait;        /* the timer is never shorter */
	struct pace_trip trip[2]; /* of background, and of urgent pages */
	uint64_t newest[2];       /* when that page was asked for which was asked for last, of all
				   * whose contents came; in the background, and urgently */
	uint64_t latest[2];       /* how long that one took */
	unsigned int doubled;     /* how often the timer ran out since the last sample */
	uint64_t doubled_at;
	uint64_t best; /* shortest round trip of late: the link's own */
	uint64_t best_until;
	uint64_t window;     /* background pages under way, in PACE_SCALEs of a page */
	uint64_t window_max; /* the same */
	uint64_t slowed;     /* when the window was made smaller last */
	uint64_t loss;       /* share of pieces that did not come at first, in PACE_SCALEs */
};

/* @window_max: pages */
void pace_init(struct pace *p, unsigned int window_max, uint64_t min_wait);

/* A page that was asked for once came whole after `took`. Who asked twice does not know which ask
 * was answered (Karn). */
void pace_sample(struct pace *p, uint64_t now, uint64_t took, bool urgent);

/* Of the pieces of a page that came, so many had to be asked for again. */
void pace_pieces(struct pace *p, unsigned int pieces, unsigned int again);

/* The contents of a page came that was asked for so long ago: what was asked for before it, and as
 * urgently, should be here, for answers come in the order of the asks. */
void pace_contents(struct pace *p, uint64_t now, uint64_t took, bool urgent);

/* Was a page that was asked for at `sent` overtaken, so that it is lost most likely? */
bool pace_overtaken(const struct pace *p, uint64_t now, uint64_t sent, bool urgent);

/* A page was not there in time, or was overtaken. */
void pace_late(struct pace *p, uint64_t now);

/* The timer ran out for a page: all timers are twice as long until the next sample. */
void pace_timed_out(struct pace *p, uint64_t now);

/* RFC 6298's timer: how long to wait for the answer to the nth ask; n counts from 1. */
uint64_t pace_wait(const struct pace *p, bool urgent, unsigned int n);

/* How long the answer to a background ask takes, most likely. */
uint64_t pace_expects(const struct pace *p);

/* How many background pages may be under way; at least 1. */
unsigned int pace_window(const struct pace *p);

/* Is it worth a fourth datagram to have an urgent page at first? */
bool pace_wants_parity(const struct pace *p);

#endif
