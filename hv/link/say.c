/* SPDX-License-Identifier: MIT */
/* What the answerer says. See hv/link/say.h. */
#include "hv/link/say.h"

#include "hv/base/string.h"
#include "hv/link/serve.h"
#include "hv/link/serve_map.h"

static bool owed(struct answerer *s, enum answerer_owes what)
{
	bool is = s->owes & what;

	s->owes &= ~(uint32_t)what;
	return is;
}

static size_t put_welcome(const struct answerer *s, void *out)
{
	struct link_welcome w = {
		.kind = LINK_WELCOME,
		.suite = (uint8_t)link_best_suite(&s->setup.key, s->hello.suites),
		.version = LINK_VERSION,
	};

	memcpy(w.asker_nonce, s->hello.nonce, LINK_NONCE);
	memcpy(w.nonce, s->nonce, LINK_NONCE);
	memcpy(out, &w, sizeof(w));
	return sizeof(w);
}

static size_t put_stale(const struct answerer *s, void *out)
{
	struct link_stale stale = {
		.kind = LINK_STALE,
		.version = LINK_VERSION,
		.unknown = s->unknown,
	};

	memcpy(out, &stale, sizeof(stale));
	return sizeof(stale);
}

size_t say_to_stranger(struct answerer *s, void *out)
{
	struct link_body no = link_body(LINK_REFUSED, LINK_REASON_TAKEN, 0);

	if (owed(s, ANSWERER_WELCOME))
		return put_welcome(s, out);
	if (owed(s, ANSWERER_STALE))
		return put_stale(s, out);
	if (!owed(s, ANSWERER_NOT_YOU))
		return 0;
	memcpy((struct link_head *)out + 1, &no, sizeof(no));
	return channel_seal(&s->other, out, sizeof(no));
}

static size_t put(struct link_body *body, enum link_kind kind, unsigned int detail,
		  const void *then, size_t n)
{
	*body = link_body(kind, detail, 0);
	memcpy(body + 1, then, n);
	return sizeof(*body) + n;
}

static size_t put_opened(const struct answerer *s, struct link_body *body)
{
	struct link_offer offer = s->setup.offer;

	offer.version = LINK_VERSION;
	offer.phase = (uint8_t)s->phase;
	offer.state_bytes = (uint32_t)s->setup.state_bytes;
	memcpy(offer.image, s->image, LINK_ID);
	memset(offer.taker, 0, LINK_ID);
	return put(body, LINK_OPENED, 0, &offer, sizeof(offer));
}

static size_t put_status(const struct answerer *s, struct link_body *body)
{
	struct link_status status = {
		.phase = (uint8_t)s->phase,
		.state_bytes = (uint32_t)s->setup.state_bytes,
	};

	memcpy(status.image, s->image, LINK_ID);
	return put(body, LINK_STATUS, 0, &status, sizeof(status));
}

static size_t put_state(struct answerer *s, struct link_body *body)
{
	unsigned int piece = (unsigned int)__builtin_ctzll(s->state_pieces);
	const uint8_t *from = (const uint8_t *)s->setup.state + piece * LINK_PIECE_BYTES;
	uint8_t *to = (uint8_t *)(body + 1);
	size_t n = link_state_piece(s->setup.state_bytes, piece);

	s->state_pieces &= s->state_pieces - 1;
	*body = link_body(LINK_STATE, piece, s->setup.state_bytes);
	memcpy(to, s->image, LINK_ID);
	memcpy(to + LINK_ID, from, n);
	return sizeof(*body) + LINK_ID + n;
}

size_t say_next(struct answerer *s, struct link_body *body)
{
	size_t n;

	if (owed(s, ANSWERER_OPENED))
		return put_opened(s, body);
	if (owed(s, ANSWERER_REFUSED))
		return put(body, LINK_REFUSED, s->refusal, body + 1, 0);
	if (owed(s, ANSWERER_GIVEN))
		return put(body, LINK_GIVEN, 0, s->image, LINK_ID);
	if (owed(s, ANSWERER_STATUS))
		return put_status(s, body);
	if (owed(s, ANSWERER_ENDED))
		return put(body, LINK_ENDED, 0, body + 1, 0);
	s->state_pieces &= link_state_pieces(s->setup.state_bytes);
	if (s->state_pieces)
		return put_state(s, body);
	n = serve_map_next(s, body);
	return n ? n : serve_next(s, body);
}
