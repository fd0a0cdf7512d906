/* SPDX-License-Identifier: MIT */
/* The asker's maps of the rounds of pre-copy. */
#ifndef HV_LINK_FETCH_MAP_H
#define HV_LINK_FETCH_MAP_H

#include "hv/link/asker.h"

/* A new session: the answerer's next round is the first. */
void fetch_map_init(struct asker *a);

/* The next LINK_MAP_ASK's body. Return: bytes; 0: nothing is due. */
size_t fetch_map_next(struct asker *a, uint64_t now, struct link_body *body);

/* Takes the body of a LINK_MAP. False: it is malformed. */
bool fetch_map(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes);

#endif
