/* SPDX-License-Identifier: MIT */
/* The answerer's pages: asks that wait, and what answers them. */
#ifndef HV_LINK_SERVE_H
#define HV_LINK_SERVE_H

#include "hv/link/answerer.h"

void serve_init(struct answerer *s);

/* Drops all asks. */
void serve_forget(struct answerer *s);

/* Takes a LINK_ASK's body. False: it is malformed; nothing of it was taken. */
bool serve_asks(struct answerer *s, const struct link_body *body, size_t bytes);

/* The next body, urgent ones first, at `body` with LINK_DATAGRAM_MAX bytes of room less the head
 * and the tag. Return: bytes; 0: nothing is asked for. */
size_t serve_next(struct answerer *s, struct link_body *body);

#endif
