/* SPDX-License-Identifier: MIT */
/*
 * The answerer's pages. See hv/link/serve.h.
 *
 * An ask is answered by one message with all its runs, and then by its pages, piece by piece. An
 * urgent one overtakes between any two pieces.
 */
#include "hv/link/serve.h"

#include "hv/base/string.h"
#include "hv/link/serve_map.h"

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

/* The ask's first page that is left. */
static gfn_t first_gfn(const struct answerer_ask *ask)
{
	return ask->gfn + (unsigned int)__builtin_ctzll(ask->data);
}

/* All of the page in one datagram, if it is to begin and packs so well; else 0. */
static size_t packed(struct answerer *s, struct answerer_ask *ask, const void *page,
		     struct link_body *body)
{
	size_t n;

	if (ask->left || !(s->features & LINK_FEATURE_PACKED))
		return 0;
	n = pack_page(page, s->pack_room, body + 1);
	if (!n)
		return 0;
	*body = link_body(LINK_PACKED_PAGE, LINK_DETAIL(serve_round(s), 0), first_gfn(ask));
	ask->data &= ask->data - 1;
	s->stats.pages_sent++;
	s->stats.pages_packed++;
	return sizeof(*body) + n;
}

/* The page's next piece. */
static size_t next_piece(struct answerer *s, struct answerer_ask *ask, const uint8_t *page,
			 struct link_body *body)
{
	uint8_t *to = (uint8_t *)(body + 1);
	unsigned int piece;

	if (!ask->left)
		ask->left = ask->pieces;
	piece = (unsigned int)__builtin_ctz(ask->left);
	*body = link_body(LINK_PAGE, LINK_DETAIL(serve_round(s), piece), first_gfn(ask));
	if (piece == LINK_PARITY)
		parity_of(page, to);
	else
		memcpy(to, page + piece * LINK_PIECE_BYTES, link_page_piece(piece));
	ask->left &= (uint8_t)(ask->left - 1);
	if (!ask->left)
		ask->data &= ask->data - 1;
	s->stats.pieces_sent++;
	s->stats.pages_sent += !piece;
	return sizeof(*body) + link_page_piece(piece);
}

static size_t put_runs(struct answerer *s, const struct link_run *runs, unsigned int n,
		       struct link_body *body)
{
	*body = link_body(LINK_RUNS, n, serve_round(s));
	memcpy(body + 1, runs, n * sizeof(runs[0]));
	s->stats.runs_sent += n;
	return sizeof(*body) + n * sizeof(runs[0]);
}

/* A guest that runs here may have given the page back since it was looked at. */
static size_t answer_page(struct answerer *s, struct answerer_ask *ask, struct link_body *body)
{
	struct link_extent e;
	struct link_run run;
	size_t bytes;

	look(s, first_gfn(ask), &e);
	if (e.what != LINK_DATA) {
		run = run_around(s, first_gfn(ask), &e);
		ask->data &= ask->data - 1;
		ask->left = 0;
		return put_runs(s, &run, 1, body);
	}
	bytes = packed(s, ask, e.data, body);
	return bytes ? bytes : next_piece(s, ask, e.data, body);
}

static size_t answer(struct answerer *s, struct answerer_ask *ask, struct link_body *body)
{
	struct link_run runs[LINK_RUNS_MAX];
	unsigned int n;

	if (!ask->looked) {
		n = look_at_all(s, ask, runs);
		if (n)
			return put_runs(s, runs, n, body);
	}
	return ask->data ? answer_page(s, ask, body) : 0;
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
