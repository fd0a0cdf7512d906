/* SPDX-License-Identifier: MIT */
/* The answerer: sessions, phases, and what is sent first. See hv/link/answerer.h. */
#include "hv/link/answerer.h"

#include "hv/base/string.h"
#include "hv/link/say.h"
#include "hv/link/serve.h"
#include "hv/link/serve_map.h"
#include "mm/err.h"

#define ALIVE 2000000 /* us: who was heard since is connected */

static void random_fill(const struct answerer *s, void *to, size_t n)
{
	s->setup.random.fill(s->setup.random.ctx, to, n);
}

static bool same_id(const uint8_t a[LINK_ID], const uint8_t b[LINK_ID])
{
	return !memcmp(a, b, LINK_ID);
}

/* --- phases: who may run the guest ----------------------------------------------------------- */

int answerer_init(struct answerer *s, const struct answerer_setup *setup)
{
	int err = link_key_check(&setup->key);

	if (err)
		return err;
	*s = (struct answerer){ .setup = *setup, .phase = LINK_RUNS_HERE };
	serve_init(s);
	random_fill(s, s->nonce, LINK_NONCE);
	if (setup->snapshot) {
		s->phase = LINK_GONE;
		memcpy(s->image, setup->snapshot, LINK_ID);
	} else {
		random_fill(s, s->image, LINK_ID);
	}
	return 0;
}

bool answerer_connected(const struct answerer *s, uint64_t now)
{
	return s->open && s->ready && !s->left && now - s->heard <= ALIVE;
}

int answerer_freeze(struct answerer *s, uint64_t now, const void *state, size_t bytes)
{
	if (s->phase != LINK_RUNS_HERE || !answerer_connected(s, now))
		return -EAGAIN;
	if (!bytes || bytes > LINK_STATE_MAX)
		return -E2BIG;
	s->phase = LINK_FROZEN;
	serve_forget(s);
	s->setup.state = state;
	s->setup.state_bytes = bytes;
	s->frozen = now;
	s->owes |= ANSWERER_STATUS; /* saves the asker a poll: the guest stands still */
	return 0;
}

static void thaw(struct answerer *s)
{
	/* The identity first: from here on a take of the old image is one of no image. */
	random_fill(s, s->image, LINK_ID);
	s->setup.state = NULL;
	s->setup.state_bytes = 0;
	s->state_pieces = 0;
	s->phase = LINK_RUNS_HERE;
}

int answerer_thaw(struct answerer *s)
{
	if (s->phase == LINK_GONE)
		return -EPERM;
	thaw(s);
	return 0;
}

static void refuse(struct answerer *s, enum link_reason reason)
{
	s->refusal = reason;
	s->owes |= ANSWERER_REFUSED;
}

static void take(struct answerer *s, const struct link_image *image)
{
	if (!same_id(image->id, s->image) || s->phase == LINK_RUNS_HERE) {
		refuse(s, LINK_REASON_IMAGE);
		return;
	}
	s->phase = LINK_GONE;
	s->owes |= ANSWERER_GIVEN;
}

/* --- sessions ------------------------------------------------------------------------------- */

/* Once the guest has stopped, it is for one taker alone; a snapshot is for everybody. */
static bool is_for_another(const struct answerer *s, const struct link_offer *offer)
{
	return s->phase != LINK_RUNS_HERE && !s->setup.snapshot && !same_id(offer->taker, s->taker);
}

static void begin_session(struct answerer *s, const struct channel *channel,
			  const struct link_open *clear, const struct link_offer *offer)
{
	s->channel = *channel;
	memcpy(s->asker_nonce, clear->asker_nonce, LINK_NONCE);
	memcpy(s->taker, offer->taker, LINK_ID);
	s->features = offer->features & s->setup.offer.features;
	/* Whoever recorded this session's opening cannot open it again. */
	random_fill(s, s->nonce, LINK_NONCE);
	serve_forget(s);
	serve_map_init(s);
	s->open = true;
	s->ready = false;
	s->left = LINK_REASON_NONE;
	s->state_pieces = 0;
	s->owes = ANSWERER_OPENED;
	s->stats.sessions++;
}

static void stale(struct answerer *s, uint32_t unknown)
{
	s->unknown = unknown;
	s->owes |= ANSWERER_STALE;
}

static bool refused_by_channel(struct answerer *s, int refusal)
{
	switch (-refusal) {
	case 0:
		return false;
	case CHANNEL_FORM:
		s->stats.bad_form++;
		return true;
	case CHANNEL_SESSION:
		s->stats.unknown_session++;
		return true;
	case CHANNEL_REPLAY:
		s->stats.replayed++;
		return true;
	default:
		s->stats.bad_seal++;
		return true;
	}
}

/* Opens with the next session's keys. True: a session has begun. */
static bool open_new(struct answerer *s, const struct link_open *clear, const void *datagram,
		     size_t bytes)
{
	struct link_offer offer;
	struct channel channel;
	uint32_t hint;
	int err;

	channel_init(&channel, CHANNEL_ANSWERER, clear->suite, &s->setup.key, clear->asker_nonce,
		     s->nonce);
	err = channel_open_open(&channel, datagram, bytes, &offer);
	if (refused_by_channel(s, err)) {
		memcpy(&hint, clear->asker_nonce, sizeof(hint));
		if (err == -CHANNEL_SEAL)
			stale(s, hint);
		return false;
	}
	/* Sealed, so it is what the asker offered: nobody has made it choose a worse suite. */
	if (offer.version != LINK_VERSION ||
	    link_best_suite(&s->setup.key, offer.suites) != clear->suite) {
		s->stats.bad_form++;
		return false;
	}
	if (is_for_another(s, &offer)) {
		s->other = channel;
		s->owes |= ANSWERER_NOT_YOU;
		return false;
	}
	begin_session(s, &channel, clear, &offer);
	return true;
}

static bool receive_open(struct answerer *s, const void *datagram, size_t bytes)
{
	struct link_open clear;
	struct link_offer offer;

	if (bytes < sizeof(clear)) {
		s->stats.bad_form++;
		return false;
	}
	memcpy(&clear, datagram, sizeof(clear));
	if (clear.version != LINK_VERSION || clear.suite >= LINK_SUITES ||
	    !(link_suites(&s->setup.key) & 1u << clear.suite)) {
		s->stats.bad_form++;
		return false;
	}
	if (!s->open || memcmp(clear.asker_nonce, s->asker_nonce, LINK_NONCE))
		return open_new(s, &clear, datagram, bytes);
	/* Our answer was lost. */
	if (refused_by_channel(s, channel_open_open(&s->channel, datagram, bytes, &offer)))
		return false;
	s->owes |= ANSWERER_OPENED;
	return true;
}

static void receive_hello(struct answerer *s, const void *datagram, size_t bytes)
{
	if (bytes != sizeof(s->hello)) {
		s->stats.bad_form++;
		return;
	}
	memcpy(&s->hello, datagram, bytes);
	s->owes |= ANSWERER_WELCOME;
}

/* --- within a session ------------------------------------------------------------------------ */

static void leave(struct answerer *s, unsigned int reason)
{
	s->left = reason > LINK_REASON_NONE && reason < LINK_REASONS_N ? (enum link_reason)reason
								       : LINK_REASON_USER;
	s->owes |= ANSWERER_ENDED;
	if (s->phase == LINK_FROZEN)
		thaw(s);
}

static void state_ask(struct answerer *s, uint64_t pieces)
{
	s->ready = true;
	if (pieces && s->phase != LINK_RUNS_HERE)
		s->state_pieces |= pieces;
	else
		s->owes |= ANSWERER_STATUS;
}

static void end(struct answerer *s)
{
	if (s->phase != LINK_GONE) {
		refuse(s, LINK_REASON_PHASE);
		return;
	}
	s->done = true;
	s->owes |= ANSWERER_ENDED;
}

static bool ask(struct answerer *s, const struct link_body *body, size_t bytes)
{
	if (serve_may_ask(s))
		return serve_asks(s, body, bytes);
	refuse(s, LINK_REASON_PHASE);
	return true;
}

/* What follows the body, if it is exactly that long. */
static bool follows(const struct link_body *body, size_t bytes, void *to, size_t n)
{
	if (bytes != sizeof(*body) + n)
		return false;
	memcpy(to, body + 1, n);
	return true;
}

/* False: malformed. */
static bool dispatch(struct answerer *s, const struct link_body *body, size_t bytes)
{
	struct link_state_ask pieces;
	struct link_image image;

	switch (body->kind) {
	case LINK_ASK:
		return ask(s, body, bytes);
	case LINK_STATE_ASK:
		if (!follows(body, bytes, &pieces, sizeof(pieces)))
			return false;
		state_ask(s, pieces.pieces);
		return true;
	case LINK_TAKE:
		if (!follows(body, bytes, &image, sizeof(image)))
			return false;
		take(s, &image);
		return true;
	case LINK_MAP_ASK:
		return serve_map_ask(s, body, bytes);
	case LINK_DONE:
		if (bytes != sizeof(*body))
			return false;
		end(s);
		return true;
	case LINK_LEAVE:
		if (bytes != sizeof(*body))
			return false;
		leave(s, body->detail);
		return true;
	default:
		return false;
	}
}

static bool receive_sealed(struct answerer *s, uint32_t session, const void *datagram, size_t bytes)
{
	union {
		struct link_body head;
		uint8_t bytes[LINK_DATAGRAM_MAX];
	} body;
	int n;

	if (!s->open || session != s->channel.session) {
		s->stats.unknown_session++;
		stale(s, session);
		return false;
	}
	n = channel_open(&s->channel, datagram, bytes, &body);
	if (n < 0) {
		(void)refused_by_channel(s, n);
		return false;
	}
	if (!dispatch(s, &body.head, (size_t)n))
		s->stats.bad_form++;
	return true;
}

static bool receive(struct answerer *s, const void *datagram, size_t bytes)
{
	struct link_stale start; /* what all clear ones begin with */

	if (bytes < sizeof(start) || bytes > LINK_DATAGRAM_MAX) {
		s->stats.bad_form++;
		return false;
	}
	memcpy(&start, datagram, sizeof(start));
	if (start.session)
		return receive_sealed(s, start.session, datagram, bytes);
	if (start.kind == LINK_OPEN)
		return receive_open(s, datagram, bytes);
	if (start.kind == LINK_HELLO)
		receive_hello(s, datagram, bytes);
	else
		s->stats.bad_form++;
	return false;
}

bool answerer_receive(struct answerer *s, uint64_t now, const void *datagram, size_t bytes)
{
	bool opened;

	s->stats.datagrams_received++;
	s->stats.bytes_received += bytes;
	opened = receive(s, datagram, bytes);
	if (opened)
		s->heard = now;
	return opened;
}

/* --- sending -------------------------------------------------------------------------------- */

size_t answerer_poll(struct answerer *s, uint64_t now, void *out, bool *to_stranger)
{
	size_t n = say_to_stranger(s, out);

	if (s->phase == LINK_FROZEN && s->setup.limit &&
	    now - MAX(s->heard, s->frozen) > s->setup.limit) {
		thaw(s);
		s->ready = false; /* until it is heard again */
	}
	*to_stranger = n > 0;
	if (!n && s->open) {
		n = say_next(s, (struct link_body *)((struct link_head *)out + 1));
		if (n)
			n = channel_seal(&s->channel, out, n);
	}
	s->stats.datagrams_sent += n > 0;
	s->stats.bytes_sent += n;
	return n;
}
