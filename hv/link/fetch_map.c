/* SPDX-License-Identifier: MIT */
/* The asker's maps. See hv/link/fetch_map.h. */
#include "hv/link/fetch_map.h"

#include "hv/base/string.h"
#include "hv/link/fetch.h"
#include "mm/err.h"

#define NOT_YET 5000 /* us until it asks again for what the source is not ready for */

void fetch_map_init(struct asker *a)
{
	a->map = (struct asker_map){ .state = ASKER_NO_MAP };
}

int asker_next_round(struct asker *a, uint64_t now)
{
	if (!asker_has_rounds(a) || a->map.state == ASKER_MAP_COMES)
		return -EAGAIN;
	if (a->map.round == LINK_ROUNDS_MAX)
		return -ENOSPC;
	fetch_drop(a);
	a->map = (struct asker_map){
		.state = ASKER_MAP_COMES,
		.round = a->map.round + 1,
		.next = now,
	};
	return 0;
}

/* Of the 64 pieces from map.first on, those that have not come. */
static uint64_t missing(const struct asker *a)
{
	uint32_t left = link_map_pieces(link_end(&a->there)) - a->map.first;

	return ~a->map.have & (left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX);
}

size_t fetch_map_next(struct asker *a, uint64_t now, struct link_body *body)
{
	struct link_map_ask ask = {
		.round = a->map.round,
		.first = a->map.first,
		.pieces = missing(a),
	};

	if (a->map.state != ASKER_MAP_COMES || now < a->map.next)
		return 0;
	a->map.next = now + MAX(pace_wait(&a->pace, true, ++a->map.tries), (uint64_t)NOT_YET);
	*body = link_body(LINK_MAP_ASK, 0, 0);
	memcpy(body + 1, &ask, sizeof(ask));
	return sizeof(*body) + sizeof(ask);
}

static void came(struct asker *a, uint64_t now, uint32_t piece, bool last)
{
	a->map.last = last && !a->map.overtaken;
	a->map.have |= UINT64_C(1) << (piece - a->map.first);
	a->map.tries = 0;
	if (missing(a))
		return;
	a->map.first += 64;
	a->map.have = 0;
	a->map.next = now;
	if (a->map.first >= link_map_pieces(link_end(&a->there)))
		a->map.state = ASKER_MAP_CAME;
}

bool fetch_map(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes)
{
	uint64_t piece = link_body_gfn(body) & ~LINK_MAP_LAST, frames = link_end(&a->there);

	if (piece >= link_map_pieces(frames) ||
	    bytes != sizeof(*body) + link_map_piece(frames, (uint32_t)piece))
		return false;
	if (a->map.state != ASKER_MAP_COMES || body->detail != a->map.round ||
	    piece - a->map.first >= 64 || !(missing(a) >> (piece - a->map.first) & 1)) {
		a->stats.unasked++;
		return true;
	}
	memcpy(a->setup.map + piece * LINK_PIECE_BYTES, body + 1,
	       link_map_piece(frames, (uint32_t)piece));
	came(a, now, (uint32_t)piece, link_body_gfn(body) & LINK_MAP_LAST);
	return true;
}
