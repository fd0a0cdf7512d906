/* SPDX-License-Identifier: MIT */
/* What the asker says next, if it is time to say it, or to say it again. */
#ifndef HV_LINK_TELL_H
#define HV_LINK_TELL_H

#include "hv/link/asker.h"

/* A whole datagram that helps to open a session. Return: bytes; 0: not now. */
size_t tell_session(struct asker *a, uint64_t now, void *out);

/* The next body for the session, at `body` with LINK_DATAGRAM_MAX bytes of room less the head and
 * the tag. Return: bytes; 0: not now. */
size_t tell_next(struct asker *a, uint64_t now, struct link_body *body);

#endif
