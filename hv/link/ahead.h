/* SPDX-License-Identifier: MIT */
/*
 * Pre-copy at the destination: drives the rounds of an asker (hv/link/asker.h). Whoever owns the
 * pages keeps what comes ahead, and forgets what has changed since.
 */
#ifndef HV_LINK_AHEAD_H
#define HV_LINK_AHEAD_H

#include "hv/link/asker.h"

struct ahead_ops {
	/* Keep the page's contents. */
	void (*keep)(void *ctx, gfn_t gfn, const void *data);
	/* Forget the page's contents, if they were kept. */
	void (*forget)(void *ctx, gfn_t gfn);
};

#define AHEAD_ROUNDS 32 /* that are counted each; there can be more, in several sessions */

struct ahead {
	const struct ahead_ops *ops;
	void *ctx;
	uint64_t sessions; /* of the asker's: what is kept is of this one */
	bool begun;        /* a map was asked for */
	bool marked;       /* what the newest map has is forgotten */
	bool ended;        /* there are no more rounds: nothing is kept */
	gfn_t next;        /* in the newest map */
	unsigned int under_way;
	unsigned int rounds;          /* whose pages were asked for */
	uint64_t kept;                /* pages, once for each time */
	uint64_t at_stop;             /* pages that the last map had */
	uint64_t pages[AHEAD_ROUNDS]; /* that the maps of the first so many rounds had */
};

void ahead_init(struct ahead *p, const struct ahead_ops *ops, void *ctx);

/* Goes on, in ASKER_WAITING and ASKER_STATE: a bounded amount of work. Call it often. */
void ahead_step(struct ahead *p, struct asker *a, uint64_t now);

/* In ASKER_STATE: may the guest be taken over? All that is kept is right then. */
bool ahead_settled(const struct ahead *p, const struct asker *a);

#endif
