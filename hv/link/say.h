/* SPDX-License-Identifier: MIT */
/* What the answerer says next, in the order of urgency. */
#ifndef HV_LINK_SAY_H
#define HV_LINK_SAY_H

#include "hv/link/answerer.h"

/* A whole datagram for somebody without a session. Return: bytes; 0: nothing. */
size_t say_to_stranger(struct answerer *s, void *out);

/* The next body for the session, at `body` with LINK_DATAGRAM_MAX bytes of room less the head and
 * the tag. Return: bytes; 0: nothing. */
size_t say_next(struct answerer *s, struct link_body *body);

#endif
