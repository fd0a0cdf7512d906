/* SPDX-License-Identifier: MIT */
/*
 * The answerer's pages. See hv/link/serve.h.
 *
 * An ask is answered by one message with all its runs, and then by its pages, piece by piece. An
 * urgent one overtakes between any two pieces.
 */
#include "hv/link/serve.h"

#include "hv/base/string.h"

void serve_init(struct answerer *s)
{
	s->urgent = (struct answerer_ring){ .size = ANSWERER_URGENT, .ask = s->urgent_slot };
	s->background =
		(struct answerer_ring){ .size = ANSWERER_BACKGROUND, .ask = s->background_slot };
}

void serve_forget(struct answerer *s)
{
	s->urgent.n = 0;
	s->background.n = 0;
}

/* --- asks ----------------------------------------------------------------------------------- */

static bool is_good(const struct answerer *s, const struct link_ask *ask)
{
	return ask->frames >= 1 && ask->frames <= LINK_ASK_FRAMES_MAX && ask->pieces &&
	       !(ask->pieces & ~LINK_PIECES_MASK) && !(ask->flags & ~LINK_URGENT) && !ask->zero &&
	       link_has(&s->setup.offer, ask->gfn, ask->frames);
}

static struct answerer_ask *ring_at(struct answerer_ring *ring, uint32_t i)
{
	return &ring->ask[(ring->head + i) % ring->size];
}

/* Asked again before it was answered: the answer that is still to come will do. */
static bool is_waiting(struct answerer_ring *ring, const struct link_ask *ask)
{
	for (uint32_t i = 0; i < ring->n; i++) {
		struct answerer_ask *there = ring_at(ring, i);

		if (there->gfn == ask->gfn && there->frames == ask->frames && !there->looked) {
			there->pieces |= ask->pieces;
			return true;
		}
	}
	return false;
}

/* An urgent ask answers the page, the background need not. Returns the mask of the pieces that it
 * has not sent yet. */
static uint8_t take_off(struct answerer_ring *ring, gfn_t gfn)
{
	uint8_t left = LINK_PIECES_MASK;

	for (uint32_t i = 0; i < ring->n; i++) {
		struct answerer_ask *ask = ring_at(ring, i);
		uint64_t bit = UINT64_C(1) << (gfn - ask->gfn) % 64;

		if (gfn - ask->gfn >= ask->frames)
			continue;
		if (ask->left && (ask->data & -ask->data) == bit) {
			left = ask->left;
			ask->left = 0;
		}
		ask->taken |= bit;
		ask->data &= ~bit;
	}
	return left;
}

static void keep(struct answerer *s, const struct link_ask *ask)
{
	bool urgent = ask->flags & LINK_URGENT;
	struct answerer_ring *ring = urgent ? &s->urgent : &s->background;
	uint8_t left = LINK_PIECES_MASK;

	if (is_waiting(ring, ask))
		return;
	if (ring->n == ring->size) {
		s->stats.asks_dropped++;
		return;
	}
	for (unsigned int i = 0; urgent && i < ask->frames; i++)
		left &= take_off(&s->background, ask->gfn + i);
	*ring_at(ring, ring->n++) = (struct answerer_ask){
		.gfn = ask->gfn,
		.frames = (uint8_t)ask->frames,
		.pieces = ask->pieces & left ? ask->pieces & left : ask->pieces,
	};
}

bool serve_asks(struct answerer *s, const struct link_body *body, size_t bytes)
{
	const uint8_t *at = (const uint8_t *)(body + 1);
	struct link_ask ask[LINK_ASKS_MAX];

	if (!body->detail || body->detail > LINK_ASKS_MAX ||
	    bytes != sizeof(*body) + body->detail * sizeof(ask[0]))
		return false;
	memcpy(ask, at, body->detail * sizeof(ask[0]));
	for (unsigned int i = 0; i < body->detail; i++)
		if (!is_good(s, &ask[i]))
			return false;
	for (unsigned int i = 0; i < body->detail; i++)
		keep(s, &ask[i]);
	return true;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void look(const struct answerer *s, gfn_t gfn, struct link_extent *e)
{
	s->setup.look(s->setup.ctx, gfn, e);
}

/* The part of the run around gfn that one link_run can say. */
static struct link_run run_around(const struct answerer *s, gfn_t gfn, const struct link_extent *e)
{
	gfn_t from = e->gfn, to = e->gfn + e->frames;

	for (unsigned int i = 0; i < LINK_REGIONS_MAX; i++) {
		const struct link_region r = s->setup.offer.region[i];

		if (gfn >= r.gfn && gfn - r.gfn < r.frames) {
			from = MAX(from, r.gfn);
			to = MIN(to, r.gfn + r.frames);
		}
	}
	if (to - from > LINK_RUN_FRAMES_MAX) {
		from = MAX(from, ALIGN_DOWN(gfn, LINK_RUN_FRAMES_MAX));
		to = MIN(to, from + LINK_RUN_FRAMES_MAX);
	}
	return link_run(from, to - from, e->what);
}

/* Finds out what the ask's pages are. Writes the runs; returns how many. */
static unsigned int look_at_all(const struct answerer *s, struct answerer_ask *ask,
				struct link_run *runs)
{
	gfn_t end = ask->gfn + ask->frames;
	struct link_extent e;
	unsigned int n = 0;

	ask->looked = true;
	for (gfn_t gfn = ask->gfn; gfn < end;) {
		look(s, gfn, &e);
		if (e.what == LINK_DATA) {
			ask->data |= UINT64_C(1) << (gfn++ - ask->gfn) & ~ask->taken;
			continue;
		}
		runs[n] = run_around(s, gfn, &e);
		gfn = MAX(link_run_gfn(runs[n]) + link_run_frames(runs[n]), gfn + 1);
		n++;
	}
	return n;
}

static void parity_of(const uint8_t *page, uint8_t *to)
{
	memcpy(to, page, LINK_PIECE_BYTES);
	for (unsigned int piece = 1; piece < LINK_PIECES; piece++)
		for (unsigned int i = 0; i < link_page_piece(piece); i++)
			to[i] ^= page[piece * LINK_PIECE_BYTES + i];
}

/* All of the ask's first page in one datagram, if it is to begin and packs so well; else 0. */
static size_t packed(struct answerer *s, struct answerer_ask *ask, struct link_body *body)
{
	gfn_t gfn = ask->gfn + (unsigned int)__builtin_ctzll(ask->data);
	struct link_extent e;
	size_t n;

	if (ask->left || !(s->features & LINK_FEATURE_PACKED))
		return 0;
	look(s, gfn, &e);
	n = pack_page(e.data, s->pack_room, body + 1);
	if (!n)
		return 0;
	*body = link_body(LINK_PACKED_PAGE, 0, gfn);
	ask->data &= ask->data - 1;
	s->stats.pages_sent++;
	s->stats.pages_packed++;
	return sizeof(*body) + n;
}

/* The next piece of the ask's first page that is left. */
static size_t next_piece(struct answerer *s, struct answerer_ask *ask, struct link_body *body)
{
	unsigned int index = (unsigned int)__builtin_ctzll(ask->data), piece;
	uint8_t *to = (uint8_t *)(body + 1);
	struct link_extent e;

	if (!ask->left)
		ask->left = ask->pieces;
	piece = (unsigned int)__builtin_ctz(ask->left);
	look(s, ask->gfn + index, &e);
	*body = link_body(LINK_PAGE, piece, ask->gfn + index);
	if (piece == LINK_PARITY)
		parity_of(e.data, to);
	else
		memcpy(to, (const uint8_t *)e.data + piece * LINK_PIECE_BYTES,
		       link_page_piece(piece));
	ask->left &= (uint8_t)(ask->left - 1);
	if (!ask->left)
		ask->data &= ask->data - 1;
	s->stats.pieces_sent++;
	s->stats.pages_sent += !piece;
	return sizeof(*body) + link_page_piece(piece);
}

static size_t answer(struct answerer *s, struct answerer_ask *ask, struct link_body *body)
{
	struct link_run runs[LINK_RUNS_MAX];
	unsigned int n;
	size_t bytes;

	if (!ask->looked) {
		n = look_at_all(s, ask, runs);
		if (n) {
			*body = link_body(LINK_RUNS, n, 0);
			memcpy(body + 1, runs, n * sizeof(runs[0]));
			s->stats.runs_sent += n;
			return sizeof(*body) + n * sizeof(runs[0]);
		}
	}
	if (!ask->data)
		return 0;
	bytes = packed(s, ask, body);
	return bytes ? bytes : next_piece(s, ask, body);
}

static size_t ring_next(struct answerer *s, struct answerer_ring *ring, struct link_body *body)
{
	while (ring->n) {
		size_t bytes = answer(s, ring_at(ring, 0), body);

		if (bytes)
			return bytes;
		ring->head = (ring->head + 1) % ring->size;
		ring->n--;
	}
	return 0;
}

size_t serve_next(struct answerer *s, struct link_body *body)
{
	size_t bytes = ring_next(s, &s->urgent, body);

	return bytes ? bytes : ring_next(s, &s->background, body);
}
