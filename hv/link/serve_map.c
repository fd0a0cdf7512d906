/* SPDX-License-Identifier: MIT */
/* The answerer's rounds of pre-copy. See hv/link/serve_map.h. */
#include "hv/link/serve_map.h"

#include "hv/base/string.h"
#include "hv/link/serve.h"

void serve_map_init(struct answerer *s)
{
	s->round = 0;
	s->map_pieces = 0;
}

/* The next round begins, if there is to be one. What was asked for in the round before is dropped:
 * its map says what is wanted now. */
static void begin(struct answerer *s)
{
	if (s->phase == LINK_GONE || s->round == LINK_ROUNDS_MAX ||
	    !s->setup.round(s->setup.ctx, s->round + 1, s->phase == LINK_FROZEN))
		return;
	s->round++;
	s->map_last = s->phase == LINK_FROZEN;
	s->map_pieces = 0;
	serve_forget(s);
}

bool serve_map_ask(struct answerer *s, const struct link_body *body, size_t bytes)
{
	uint32_t n = link_map_pieces(link_end(&s->setup.offer));
	struct link_map_ask ask;

	if (bytes != sizeof(*body) + sizeof(ask) || !(s->features & LINK_FEATURE_ROUNDS))
		return false;
	memcpy(&ask, body + 1, sizeof(ask));
	if (ask.first >= n || !ask.pieces)
		return false;
	if (ask.round == s->round + 1)
		begin(s);
	if (ask.round != s->round) {
		s->owes |= ANSWERER_STATUS; /* not yet, or not any more */
		return true;
	}
	s->map_first = ask.first;
	s->map_pieces = ask.pieces;
	if (n - ask.first < 64)
		s->map_pieces &= (UINT64_C(1) << (n - ask.first)) - 1;
	return true;
}

size_t serve_map_next(struct answerer *s, struct link_body *body)
{
	uint64_t frames = link_end(&s->setup.offer);
	uint32_t piece;
	size_t n;

	if (!s->map_pieces)
		return 0;
	piece = s->map_first + (uint32_t)__builtin_ctzll(s->map_pieces);
	n = link_map_piece(frames, piece);
	s->map_pieces &= s->map_pieces - 1;
	*body = link_body(LINK_MAP, s->round, piece | (s->map_last ? LINK_MAP_LAST : 0));
	memcpy(body + 1, s->setup.map + piece * (uint64_t)LINK_PIECE_BYTES, n);
	return sizeof(*body) + n;
}
