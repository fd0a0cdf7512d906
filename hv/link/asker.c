/* SPDX-License-Identifier: MIT */
/* The asker: sessions, the switch-over, and what is said next. See hv/link/asker.h. */
#include "hv/link/asker.h"

#include "hv/base/string.h"
#include "hv/link/fetch.h"
#include "hv/link/fetch_map.h"
#include "hv/link/tell.h"
#include "mm/err.h"

#define PAGES_MIN 64
/* us: two machines that share a host, or a CPU that its vCPUs share, stand still for so long. What
 * is lost is noticed sooner, by what overtakes it. */
#define RETRY_MIN  20000
#define AWAY       2000 /* us between two polls: then it was away, and timers do not count that */
#define OPEN_TRIES 6
#define ENDING     2000000 /* us: then it is over without his knowing */
#define KEY_TRIES  3

/* --- phases ----------------------------------------------------------------------------------- */

int asker_init(struct asker *a, const struct asker_setup *setup)
{
	uint64_t min_wait = setup->retry_min ? setup->retry_min : RETRY_MIN;
	int err = link_key_check(&setup->key);

	if (err)
		return err;
	if (setup->npages < PAGES_MIN)
		return -EINVAL;
	*a = (struct asker){ .setup = *setup, .phase = ASKER_CONNECTING, .detail = "" };
	for (unsigned int i = 0; i < setup->npages; i++)
		setup->pages[i].state = ASKER_FREE;
	a->setup.offer.version = LINK_VERSION;
	a->setup.offer.suites = link_suites(&setup->key);
	a->setup.offer.state_bytes = (uint32_t)MIN(setup->state_room, (size_t)LINK_STATE_MAX);
	setup->random.fill(setup->random.ctx, a->setup.offer.taker, LINK_ID);
	pace_init(&a->pace, setup->window, min_wait);
	return 0;
}

/* Something else is asked for from now on. */
static void turn_to(struct asker *a, uint64_t now)
{
	a->tries = 0;
	a->next = now;
}

static void close_session(struct asker *a, uint64_t now)
{
	channel_wipe(&a->channel);
	a->session = ASKER_CLOSED;
	a->setup.random.fill(a->setup.random.ctx, a->nonce, LINK_NONCE);
	turn_to(a, now);
}

/*
 * It does not go like that. Before the take that ends it; after it there is no way back, so it is
 * noted, and another session is tried: the right server may be started yet.
 */
static void object(struct asker *a, uint64_t now, enum link_reason reason, const char *detail)
{
	a->reason = reason;
	a->detail = detail;
	if (a->phase < ASKER_TAKING) {
		a->phase = ASKER_REFUSED;
		a->leaving = a->session == ASKER_OPEN;
		turn_to(a, now);
	} else {
		close_session(a, now);
		a->next = now + pace_wait(&a->pace, true, 5);
	}
}

void asker_refuse(struct asker *a, enum link_reason reason)
{
	if (a->phase < ASKER_TAKING)
		object(a, a->heard, reason, "");
}

void asker_take_over(struct asker *a)
{
	if (a->phase != ASKER_STATE)
		return;
	fetch_drop(a);
	a->phase = ASKER_TAKING;
	turn_to(a, a->heard);
}

size_t asker_state_bytes(const struct asker *a)
{
	return a->there.state_bytes;
}

void asker_finish(struct asker *a, uint64_t now)
{
	if (a->phase != ASKER_RUNS || a->ending)
		return;
	a->ending = true;
	a->heard = now;
	turn_to(a, now);
}

void asker_retry(struct asker *a, uint64_t now)
{
	a->cut = false;
	a->heard = now;
	close_session(a, now);
}

/* --- the image: what the answerer says of itself ---------------------------------------------- */

static bool same_id(const uint8_t a[LINK_ID], const uint8_t b[LINK_ID])
{
	return !memcmp(a, b, LINK_ID);
}

/* What was said once was answered: a round trip. */
static void note_trip(struct asker *a, uint64_t now)
{
	if (a->tries == 1)
		pace_sample(&a->pace, now, now - a->said, true);
}

/* Another image than before: what has come of the old one's state is void. */
static void note_image(struct asker *a, uint64_t now, const struct link_status *status)
{
	if (!same_id(status->image, a->there.image)) {
		a->state_have = 0;
		a->phase = ASKER_WAITING;
		a->map.last = false;
		a->map.overtaken = true;
	}
	a->map.next = now; /* it may have stopped: then the last map can be had */
	turn_to(a, now);
	memcpy(a->there.image, status->image, LINK_ID);
	a->there.phase = status->phase;
	a->there.state_bytes = status->state_bytes;
	if (status->state_bytes > a->setup.offer.state_bytes)
		object(a, now, LINK_REASON_STATE_SIZE, "");
}

static bool is_good_status(const struct link_status *status)
{
	return status->phase >= LINK_RUNS_HERE && status->phase <= LINK_GONE &&
	       !status->state_bytes == (status->phase == LINK_RUNS_HERE);
}

static bool take_status(struct asker *a, uint64_t now, const struct link_status *status)
{
	if (!is_good_status(status))
		return false;
	if (a->phase != ASKER_WAITING && a->phase != ASKER_STATE)
		return true;
	/* One image only goes on to its next phase: this one was overtaken. */
	if (!same_id(status->image, a->there.image) || status->phase > a->there.phase)
		note_image(a, now, status);
	return true;
}

/* --- sessions --------------------------------------------------------------------------------- */

static void welcomed(struct asker *a, uint64_t now, const struct link_welcome *w)
{
	if (a->session != ASKER_CLOSED || memcmp(w->asker_nonce, a->nonce, LINK_NONCE)) {
		a->stats.unasked++;
		return;
	}
	if (w->version != LINK_VERSION) {
		object(a, now, LINK_REASON_VERSION, "");
		return;
	}
	if (w->suite >= LINK_SUITES || !(a->setup.offer.suites & 1u << w->suite)) {
		object(a, now, LINK_REASON_SUITE, "");
		return;
	}
	note_trip(a, now);
	channel_init(&a->channel, CHANNEL_ASKER, w->suite, &a->setup.key, a->nonce, w->nonce);
	a->session = ASKER_OPENING;
	turn_to(a, now);
}

/* The answerer could not open our link_open: another key; or somebody else was faster, and a new
 * hello will do. */
static void not_opened(struct asker *a, uint64_t now)
{
	if (++a->not_opened >= KEY_TRIES) {
		a->not_opened = 0;
		object(a, now, LINK_REASON_KEY, "");
		return;
	}
	close_session(a, now);
	a->next = now + pace_wait(&a->pace, true, a->not_opened);
}

static void staled(struct asker *a, uint64_t now, const struct link_stale *stale)
{
	uint32_t opening;

	memcpy(&opening, a->nonce, sizeof(opening));
	if (a->session == ASKER_OPENING && stale->unknown == opening)
		not_opened(a, now);
	else if (a->session == ASKER_OPEN && stale->unknown == a->channel.session)
		close_session(a, now);
	else
		a->stats.unasked++;
}

/* The first session; or a further one while nothing has been taken: begins at the beginning. */
static void meet(struct asker *a, uint64_t now, const struct link_offer *offer)
{
	const char *detail;
	enum link_reason reason = link_mismatch(&a->setup.offer, offer, &detail);

	if (!same_id(offer->image, a->there.image))
		a->state_have = 0;
	if (a->phase != ASKER_STATE || !same_id(offer->image, a->there.image))
		a->phase = ASKER_WAITING;
	a->there = *offer;
	if (reason)
		object(a, now, reason, detail);
}

/* Only the image that was taken has the guest's pages. */
static void meet_again(struct asker *a, uint64_t now, const struct link_offer *offer)
{
	if (same_id(offer->image, a->there.image)) {
		a->reason = LINK_REASON_NONE;
		fetch_again(a, now);
	} else if (a->phase == ASKER_TAKING) {
		/* It never was given away, or is lost: we have not run it. */
		meet(a, now, offer);
	} else {
		object(a, now, LINK_REASON_IMAGE, "");
	}
}

static bool opened(struct asker *a, uint64_t now, const struct link_offer *offer)
{
	struct link_status status = { .phase = offer->phase, .state_bytes = offer->state_bytes };

	if (!is_good_status(&status))
		return false;
	if (a->session != ASKER_OPENING)
		return true; /* said twice */
	note_trip(a, now);
	a->session = ASKER_OPEN;
	fetch_map_init(a);
	if (a->phase < ASKER_RUNS)
		fetch_drop(a); /* of the pre-copy */
	a->not_opened = 0;
	a->stats.sessions++;
	turn_to(a, now);
	if (a->phase < ASKER_TAKING)
		meet(a, now, offer);
	else
		meet_again(a, now, offer);
	return true;
}

/* --- within a session ------------------------------------------------------------------------- */

static bool take_state(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes)
{
	size_t total = link_body_gfn(body);
	unsigned int piece = body->detail;
	const uint8_t *image = (const uint8_t *)(body + 1);

	if (piece >= LINK_STATE_PIECES || total > LINK_STATE_MAX ||
	    piece * LINK_PIECE_BYTES >= total ||
	    bytes != sizeof(*body) + LINK_ID + link_state_piece(total, piece))
		return false;
	if (a->phase != ASKER_WAITING || total != a->there.state_bytes ||
	    !same_id(image, a->there.image)) {
		a->stats.unasked++;
		return true;
	}
	memcpy((uint8_t *)a->setup.state + piece * LINK_PIECE_BYTES, image + LINK_ID,
	       link_state_piece(total, piece));
	a->state_have |= UINT64_C(1) << piece;
	if (a->state_have == link_state_pieces(total))
		a->phase = ASKER_STATE;
	if (!(a->state_asked & ~a->state_have))
		turn_to(a, now);
	return true;
}

/* The one place where the guest begins to run here. */
static void given(struct asker *a, uint64_t now, const struct link_image *image)
{
	if (a->phase != ASKER_TAKING || !same_id(image->id, a->there.image)) {
		a->stats.unasked++;
		return;
	}
	a->phase = ASKER_RUNS;
	turn_to(a, now);
}

static void ended(struct asker *a)
{
	if (a->phase == ASKER_RUNS && a->ending)
		a->phase = ASKER_DONE;
	a->leaving = false;
}

/* While we take, the source has taken the guest back, or never stopped it: so we wait again. */
static void refused(struct asker *a, uint64_t now, unsigned int reason)
{
	if (reason == LINK_REASON_PHASE || a->phase > ASKER_RUNS)
		return;
	if (a->phase == ASKER_TAKING && reason == LINK_REASON_IMAGE) {
		a->phase = ASKER_WAITING;
		a->there.phase = LINK_RUNS_HERE;
		a->state_have = 0;
		turn_to(a, now);
		return;
	}
	object(a, now, reason < LINK_REASONS_N ? (enum link_reason)reason : LINK_REASON_USER, "");
}

static bool follows(const struct link_body *body, size_t bytes, void *to, size_t n)
{
	if (bytes != sizeof(*body) + n)
		return false;
	memcpy(to, body + 1, n);
	return true;
}

/* What comes before the session is known to be open. False: malformed. */
static bool dispatch_opened(struct asker *a, uint64_t now, const struct link_body *body,
			    size_t bytes)
{
	struct link_offer offer;

	if (body->kind == LINK_REFUSED && bytes == sizeof(*body)) {
		refused(a, now, body->detail);
		return true;
	}
	return body->kind == LINK_OPENED && follows(body, bytes, &offer, sizeof(offer)) &&
	       opened(a, now, &offer);
}

/* False: malformed. */
static bool dispatch(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes)
{
	struct link_status status;
	struct link_image image;

	switch (body->kind) {
	case LINK_STATUS:
		return follows(body, bytes, &status, sizeof(status)) &&
		       take_status(a, now, &status);
	case LINK_STATE:
		return take_state(a, now, body, bytes);
	case LINK_PAGE:
		return fetch_page(a, now, body, bytes);
	case LINK_PACKED_PAGE:
		return fetch_packed(a, now, body, bytes);
	case LINK_RUNS:
		return fetch_runs(a, now, body, bytes);
	case LINK_MAP:
		return fetch_map(a, now, body, bytes);
	case LINK_GIVEN:
		if (!follows(body, bytes, &image, sizeof(image)))
			return false;
		given(a, now, &image);
		return true;
	case LINK_ENDED:
		if (bytes != sizeof(*body))
			return false;
		ended(a);
		return true;
	default:
		return dispatch_opened(a, now, body, bytes);
	}
}

static void count_refusal(struct asker *a, int refusal)
{
	switch (-refusal) {
	case CHANNEL_FORM:
		a->stats.bad_form++;
		break;
	case CHANNEL_SESSION:
		a->stats.unknown_session++;
		break;
	case CHANNEL_REPLAY:
		a->stats.replayed++;
		break;
	default:
		a->stats.bad_seal++;
		break;
	}
}

static void receive_sealed(struct asker *a, uint64_t now, const void *datagram, size_t bytes)
{
	union {
		struct link_body head;
		uint8_t bytes[LINK_DATAGRAM_MAX];
	} body;
	int n = a->session == ASKER_CLOSED ? -CHANNEL_SESSION
					   : channel_open(&a->channel, datagram, bytes, &body);
	bool good;

	if (n < 0) {
		count_refusal(a, n);
		return;
	}
	a->heard = now;
	good = a->session == ASKER_OPENING ? dispatch_opened(a, now, &body.head, (size_t)n)
					   : dispatch(a, now, &body.head, (size_t)n);
	a->stats.bad_form += !good;
}

static void receive_clear(struct asker *a, uint64_t now, const void *datagram, size_t bytes)
{
	struct link_welcome welcome;
	struct link_stale stale;

	memcpy(&stale, datagram, sizeof(stale));
	if (stale.kind == LINK_WELCOME && bytes == sizeof(welcome)) {
		memcpy(&welcome, datagram, sizeof(welcome));
		welcomed(a, now, &welcome);
	} else if (stale.kind == LINK_STALE && bytes == sizeof(stale)) {
		staled(a, now, &stale);
	} else {
		a->stats.bad_form++;
	}
}

void asker_receive(struct asker *a, uint64_t now, const void *datagram, size_t bytes)
{
	struct link_stale start; /* what all clear ones begin with */

	a->stats.datagrams_received++;
	a->stats.bytes_received += bytes;
	if (bytes < sizeof(start) || bytes > LINK_DATAGRAM_MAX) {
		a->stats.bad_form++;
		return;
	}
	memcpy(&start, datagram, sizeof(start));
	if (start.session)
		receive_sealed(a, now, datagram, bytes);
	else if (a->phase != ASKER_REFUSED && a->phase != ASKER_DONE)
		receive_clear(a, now, datagram, bytes);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Does anybody owe us an answer? */
static bool is_owed(const struct asker *a)
{
	if (a->phase == ASKER_RUNS)
		return a->ending || fetch_waits(a);
	return a->phase < ASKER_RUNS;
}

/* An answerer who does not answer link_open may have another nonce by now. */
static size_t poll_session(struct asker *a, uint64_t now, void *out)
{
	if (a->session == ASKER_OPENING && a->tries >= OPEN_TRIES && now >= a->next)
		close_session(a, now);
	return tell_session(a, now, out);
}

static void look_at_time(struct asker *a, uint64_t now)
{
	if (!a->begun) {
		a->begun = true;
		a->heard = a->polled = now;
		close_session(a, now);
	}
	if (now - a->polled > AWAY)
		fetch_later(a, now - a->polled);
	a->polled = now;
	if (!is_owed(a))
		a->heard = now;
	if (a->ending && now - a->heard > ENDING)
		a->phase = ASKER_DONE;
	if (a->setup.limit && now - a->heard > a->setup.limit) {
		a->cut = true;
		a->reason = LINK_REASON_TIME;
		a->detail = "";
	}
}

static size_t poll(struct asker *a, uint64_t now, void *out)
{
	size_t n;

	if (a->session != ASKER_OPEN)
		return is_owed(a) ? poll_session(a, now, out) : 0;
	n = tell_next(a, now, (struct link_body *)((struct link_head *)out + 1));
	return n ? channel_seal(&a->channel, out, n) : 0;
}

size_t asker_poll(struct asker *a, uint64_t now, void *out)
{
	size_t n;

	look_at_time(a, now);
	if (a->cut)
		return 0;
	n = poll(a, now, out);
	a->stats.datagrams_sent += n > 0;
	a->stats.bytes_sent += n;
	return n;
}
