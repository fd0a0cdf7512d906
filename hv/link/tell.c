/* SPDX-License-Identifier: MIT */
/* What the asker says. See hv/link/tell.h. */
#include "hv/link/tell.h"

#include "hv/base/string.h"
#include "hv/link/fetch.h"
#include "hv/link/fetch_map.h"

#define POLL          5000   /* us: how often to ask whether the guest has stopped */
#define KEEP_UP       100000 /* us: how often to be heard while the state is loaded */
#define GOODBYES      8      /* tries to say that it is over, to one who may be gone himself */
#define STATE_AT_ONCE 16     /* pieces */

/* Is it time to ask for what is not a page? Then the next time is later, and later. */
static bool is_time(struct asker *a, uint64_t now)
{
	if (now < a->next)
		return false;
	a->next = now + pace_wait(&a->pace, true, ++a->tries);
	a->said = now;
	return true;
}

static size_t put_hello(struct asker *a, void *out)
{
	struct link_hello hello = {
		.kind = LINK_HELLO,
		.version = LINK_VERSION,
		.suites = a->setup.offer.suites,
	};

	memcpy(hello.nonce, a->nonce, LINK_NONCE);
	memcpy(out, &hello, sizeof(hello));
	return sizeof(hello);
}

static size_t put_open(struct asker *a, void *out)
{
	struct link_open clear = {
		.kind = LINK_OPEN,
		.suite = a->channel.suite,
		.version = LINK_VERSION,
	};

	memcpy(clear.asker_nonce, a->nonce, LINK_NONCE);
	memset(a->setup.offer.image, 0, LINK_ID);
	if (a->phase >= ASKER_TAKING)
		memcpy(a->setup.offer.image, a->there.image, LINK_ID);
	return channel_seal_open(&a->channel, &clear, &a->setup.offer, out);
}

size_t tell_session(struct asker *a, uint64_t now, void *out)
{
	if (!is_time(a, now))
		return 0;
	return a->session == ASKER_CLOSED ? put_hello(a, out) : put_open(a, out);
}

static size_t put(struct link_body *body, enum link_kind kind, unsigned int detail,
		  const void *then, size_t n)
{
	*body = link_body(kind, detail, 0);
	memcpy(body + 1, then, n);
	return sizeof(*body) + n;
}

/* Asks for pieces that are missing; now and then whether it is still the same image. */
static size_t put_state_ask(struct asker *a, struct link_body *body)
{
	uint64_t missing = link_state_pieces(a->there.state_bytes) & ~a->state_have;
	struct link_state_ask ask = { 0 };

	if (a->there.phase != LINK_RUNS_HERE && a->tries % 4)
		for (unsigned int n = 0; missing && n < STATE_AT_ONCE; n++) {
			ask.pieces |= missing & -missing;
			missing &= missing - 1;
		}
	a->state_asked = ask.pieces;
	return put(body, LINK_STATE_ASK, 0, &ask, sizeof(ask));
}

static size_t poll_state(struct asker *a, uint64_t now, struct link_body *body)
{
	if (!is_time(a, now))
		return 0;
	if (a->phase == ASKER_STATE)
		a->next = now + KEEP_UP;
	else if (a->there.phase == LINK_RUNS_HERE)
		a->next = now + POLL;
	return put_state_ask(a, body);
}

static size_t poll_end(struct asker *a, uint64_t now, struct link_body *body)
{
	if (!is_time(a, now))
		return 0;
	if (a->tries > GOODBYES) {
		a->leaving = false;
		if (a->phase == ASKER_RUNS)
			a->phase = ASKER_DONE;
		return 0;
	}
	return a->leaving ? put(body, LINK_LEAVE, a->reason, body + 1, 0)
			  : put(body, LINK_DONE, 0, body + 1, 0);
}

/* The state, and pre-copy beside it. */
static size_t poll_waiting(struct asker *a, uint64_t now, struct link_body *body)
{
	size_t n = poll_state(a, now, body);

	if (!n)
		n = fetch_map_next(a, now, body);
	return n ? n : fetch_next(a, now, body);
}

size_t tell_next(struct asker *a, uint64_t now, struct link_body *body)
{
	switch (a->phase) {
	case ASKER_WAITING:
	case ASKER_STATE:
		return poll_waiting(a, now, body);
	case ASKER_TAKING:
		return is_time(a, now) ? put(body, LINK_TAKE, 0, a->there.image, LINK_ID) : 0;
	case ASKER_RUNS:
		return a->ending ? poll_end(a, now, body) : fetch_next(a, now, body);
	case ASKER_REFUSED:
		return a->leaving ? poll_end(a, now, body) : 0;
	default:
		return 0;
	}
}
