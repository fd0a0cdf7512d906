/* SPDX-License-Identifier: MIT */
/* The answerer's rounds of pre-copy. */
#ifndef HV_LINK_SERVE_MAP_H
#define HV_LINK_SERVE_MAP_H

#include "hv/link/answerer.h"

/* A new session: who asks has nothing, and begins with round 1. */
void serve_map_init(struct answerer *s);

/* Takes the body of a LINK_MAP_ASK. False: it is malformed. */
bool serve_map_ask(struct answerer *s, const struct link_body *body, size_t bytes);

/* The next LINK_MAP's body. Return: bytes; 0: none is owed. */
size_t serve_map_next(struct answerer *s, struct link_body *body);

/* May pages be asked for, and what do their datagrams say? */
static inline bool serve_may_ask(const struct answerer *s)
{
	return s->phase == LINK_GONE || (s->phase == LINK_RUNS_HERE && s->round);
}

static inline unsigned int serve_round(const struct answerer *s)
{
	return s->phase == LINK_GONE ? 0 : s->round;
}

#endif
