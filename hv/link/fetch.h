/* SPDX-License-Identifier: MIT */
/* The asker's pages: which are asked for, what has come of them, and when to ask again. */
#ifndef HV_LINK_FETCH_H
#define HV_LINK_FETCH_H

#include "hv/link/asker.h"

/* A new session: whatever is under way is asked for again at once. */
void fetch_again(struct asker *a, uint64_t now);

/* Nothing of what was asked for is wanted any more. */
void fetch_drop(struct asker *a);

/* The asker was away for so long: what came meanwhile is not late. */
void fetch_later(struct asker *a, uint64_t us);

/* The next LINK_ASK's body, urgent pages first. Return: bytes; 0: nothing is due. */
size_t fetch_next(struct asker *a, uint64_t now, struct link_body *body);

/* Takes the body of a LINK_PAGE, LINK_PACKED_PAGE or LINK_RUNS. False: it is malformed. */
bool fetch_page(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes);
bool fetch_packed(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes);
bool fetch_runs(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes);

/* Is any page waited for? */
bool fetch_waits(const struct asker *a);

#endif
