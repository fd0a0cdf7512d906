/* SPDX-License-Identifier: MIT */
/* The asker's pages. See hv/link/fetch.h. */
#include "hv/link/fetch.h"

#include "hv/base/string.h"
#include "hv/link/pack/pack.h"
#include "mm/err.h"

#define EACH_PAGE(a, p)                                                                            \
	for (struct asker_page *p = (a)->setup.pages; p < (a)->setup.pages + (a)->setup.npages; p++)

static struct asker_page *find(const struct asker *a, gfn_t gfn)
{
	EACH_PAGE(a, p)
	if (p->state != ASKER_FREE && p->gfn == gfn)
		return p;
	return NULL;
}

/* The window holds it back, or counts it. */
static bool is_background(const struct asker_page *p)
{
	return p->wanted == ASKER_BACKGROUND;
}

static void count_out(struct asker *a, const struct asker_page *p)
{
	if (p->state == ASKER_ASKED && is_background(p))
		a->under_way--;
}

/* --- wanting -------------------------------------------------------------------------------- */

static void want(struct asker_page *p, uint64_t now, gfn_t gfn, unsigned int who, gfn_t first)
{
	if (p->state == ASKER_FREE) {
		p->gfn = gfn;
		p->state = ASKER_WANTED;
		p->wanted = 0;
		p->have = 0;
		p->tries = 0;
		p->again = 0;
		p->asked = now;
		p->due = now;
	}
	p->wanted |= (uint8_t)who;
	if (who == ASKER_BACKGROUND)
		p->first = first;
}

static struct asker_page *find_free(const struct asker *a)
{
	EACH_PAGE(a, p)
	if (p->state == ASKER_FREE && p != a->lent)
		return p;
	return NULL;
}

static int ask_urgent(struct asker *a, uint64_t now, gfn_t gfn)
{
	struct asker_page *p = find(a, gfn);

	if (!p) {
		p = find_free(a);
		if (!p)
			return -ENOSPC;
	} else if (p->wanted & ASKER_URGENT) {
		return -EALREADY;
	} else if (p->state != ASKER_CAME) {
		/* It may be on its way. If not, its ask stands in a queue: ask past the queue. */
		count_out(a, p);
		p->asked = now;
		p->due = p->tries ? MAX(now, p->sent + pace_expects(&a->pace)) : now;
	}
	want(p, now, gfn, ASKER_URGENT, 0);
	return 0;
}

static unsigned int count_free(const struct asker *a)
{
	unsigned int n = 0;

	EACH_PAGE(a, p)
	n += p->state == ASKER_FREE && p != a->lent;
	return n;
}

static int ask_background(struct asker *a, uint64_t now, gfn_t gfn, uint64_t frames)
{
	if (count_free(a) < frames + a->setup.npages / 4)
		return -ENOSPC;
	for (uint64_t i = 0; i < frames; i++) {
		struct asker_page *p = find(a, gfn + i);

		if (p && p->wanted & ASKER_BACKGROUND)
			return -EALREADY;
	}
	for (uint64_t i = 0; i < frames; i++) {
		struct asker_page *p = find(a, gfn + i);

		want(p ? p : find_free(a), now, gfn + i, ASKER_BACKGROUND, gfn);
	}
	return 0;
}

/* In pre-copy, by the newest map. */
static bool may_ask_ahead(const struct asker *a)
{
	return asker_has_rounds(a) && asker_map_came(a) && a->there.phase == LINK_RUNS_HERE;
}

int asker_ask(struct asker *a, uint64_t now, gfn_t gfn, uint64_t frames, bool urgent)
{
	if (a->phase != ASKER_RUNS && !may_ask_ahead(a))
		return -EAGAIN;
	if (!frames || frames > LINK_ASK_FRAMES_MAX || !link_has(&a->there, gfn, frames))
		return -EINVAL;
	if (!fetch_waits(a))
		a->heard = now; /* nothing was asked for, so nobody had to answer */
	if (!urgent)
		return ask_background(a, now, gfn, frames);
	return frames == 1 ? ask_urgent(a, now, gfn) : -EINVAL;
}

/* --- asking --------------------------------------------------------------------------------- */

static bool is_overtaken(const struct asker *a, const struct asker_page *p, uint64_t now)
{
	return p->state == ASKER_ASKED && pace_overtaken(&a->pace, now, p->sent, p->urgently);
}

static bool is_due(const struct asker *a, const struct asker_page *p, uint64_t now, bool urgent)
{
	if (p->state != ASKER_WANTED && p->state != ASKER_ASKED)
		return false;
	if (urgent != !is_background(p) || (now < p->due && !is_overtaken(a, p, now)))
		return false;
	return urgent || p->state == ASKER_ASKED || a->under_way < pace_window(&a->pace);
}

/* Only what is still missing; any three of the four make a page. */
static uint8_t missing(const struct asker *a, const struct asker_page *p, bool urgent)
{
	uint8_t mask = LINK_PIECES_ALL & (uint8_t)~p->have;

	if (urgent && !(p->have & 1u << LINK_PARITY) && pace_wants_parity(&a->pace) &&
	    a->there.features & a->setup.offer.features & LINK_FEATURE_PARITY)
		mask |= 1u << LINK_PARITY;
	return mask;
}

/* Why it is asked for again: a page that has become urgent need not be lost. */
static void note_again(struct asker *a, struct asker_page *p, uint64_t now, bool urgent,
		       unsigned int pieces)
{
	a->stats.pieces_again += pieces;
	if (is_overtaken(a, p, now)) {
		a->stats.again_overtaken++;
	} else if (urgent && !p->urgently) {
		a->stats.again_urgent++;
		return;
	} else {
		a->stats.again_timed_out++;
		if (a->heard < p->sent) /* else the link is as quick as ever, and loses */
			pace_timed_out(&a->pace, now);
	}
	p->again = (uint8_t)MIN(p->again + pieces, 255u);
	pace_late(&a->pace, now);
}

static void note_asked(struct asker *a, struct asker_page *p, uint64_t now, bool urgent,
		       uint8_t mask)
{
	if (p->tries)
		note_again(a, p, now, urgent, link_count(mask & LINK_PIECES_ALL));
	if (p->state == ASKER_WANTED && !urgent)
		a->under_way++;
	p->state = ASKER_ASKED;
	p->urgently = urgent;
	p->tries += p->tries < 255;
	p->sent = now;
	p->due = now + pace_wait(&a->pace, urgent, p->tries);
}

/* Adds the page to the last ask if it goes on where that ends. */
static bool joins(struct link_ask *last, const struct asker_page *p, uint8_t mask)
{
	if (last->gfn + last->frames != p->gfn || last->pieces != mask ||
	    last->frames == LINK_ASK_FRAMES_MAX)
		return false;
	last->frames++;
	return true;
}

static size_t ask_all(struct asker *a, uint64_t now, bool urgent, struct link_body *body)
{
	struct link_ask ask[LINK_ASKS_MAX];
	unsigned int n = 0;

	EACH_PAGE(a, p)
	{
		uint8_t mask = missing(a, p, urgent);

		if (!is_due(a, p, now, urgent))
			continue;
		if (!n || !joins(&ask[n - 1], p, mask)) {
			if (n == LINK_ASKS_MAX)
				break;
			ask[n++] = (struct link_ask){
				.gfn = p->gfn,
				.frames = 1,
				.pieces = mask,
				.flags = urgent ? LINK_URGENT : 0,
			};
		}
		note_asked(a, p, now, urgent, mask);
	}
	if (!n)
		return 0;
	*body = link_body(LINK_ASK, n, 0);
	memcpy(body + 1, ask, n * sizeof(ask[0]));
	return sizeof(*body) + n * sizeof(ask[0]);
}

size_t fetch_next(struct asker *a, uint64_t now, struct link_body *body)
{
	size_t n = ask_all(a, now, true, body);

	return n ? n : ask_all(a, now, false, body);
}

void fetch_again(struct asker *a, uint64_t now)
{
	EACH_PAGE(a, p)
	if (p->state == ASKER_ASKED) {
		p->sent = now;
		p->due = now;
		p->tries = 0;
	}
}

void fetch_drop(struct asker *a)
{
	EACH_PAGE(a, p)
	p->state = ASKER_FREE;
	a->under_way = 0;
	a->lent = NULL;
}

void fetch_later(struct asker *a, uint64_t us)
{
	EACH_PAGE(a, p)
	if (p->state == ASKER_ASKED)
		p->due += us;
}

bool fetch_waits(const struct asker *a)
{
	EACH_PAGE(a, p)
	if (p->state == ASKER_WANTED || p->state == ASKER_ASKED)
		return true;
	return false;
}

/* --- what comes ------------------------------------------------------------------------------- */

/* What was read in another round than this one is out of date. */
static bool is_of_now(struct asker *a, uint64_t round)
{
	bool is = round == (a->phase == ASKER_RUNS ? 0 : a->map.round);

	a->stats.unasked += !is;
	return is;
}

static void came(struct asker *a, struct asker_page *p, uint64_t now, struct link_extent extent)
{
	bool urgent = !is_background(p);

	if (p->tries == 1)
		pace_sample(&a->pace, now, now - p->sent, urgent);
	/* Of a page that was asked for twice: the later ask is not answered in less than a trip. */
	if (extent.data && (p->tries == 1 || now - p->sent >= a->pace.best))
		pace_contents(&a->pace, now, now - p->sent, p->urgently);
	if (extent.data)
		pace_pieces(&a->pace, LINK_PIECES, p->again);
	count_out(a, p);
	p->extent = extent;
	p->due = now;
	p->state = ASKER_CAME;
}

static void repair(struct asker_page *p)
{
	unsigned int lost = (unsigned int)__builtin_ctz(~(unsigned int)p->have);
	uint8_t *to = p->bytes + lost * LINK_PIECE_BYTES;

	/* The last piece's end is padding, of which the page knows nothing. */
	memset(p->bytes + PAGE_SIZE, 0, sizeof(p->bytes) - PAGE_SIZE);
	memcpy(to, p->parity, LINK_PIECE_BYTES);
	for (unsigned int piece = 0; piece < LINK_PIECES; piece++)
		for (unsigned int i = 0; piece != lost && i < LINK_PIECE_BYTES; i++)
			to[i] ^= p->bytes[piece * LINK_PIECE_BYTES + i];
}

static void take_piece(struct asker *a, struct asker_page *p, uint64_t now, unsigned int piece,
		       const void *from)
{
	uint8_t *to = piece == LINK_PARITY ? p->parity : p->bytes + piece * LINK_PIECE_BYTES;

	memcpy(to, from, link_page_piece(piece));
	p->have |= (uint8_t)(1u << piece);
	if (link_count(p->have) < LINK_PIECES)
		return;
	if (p->have != LINK_PIECES_ALL) {
		repair(p);
		a->stats.parity_repaired++;
	}
	a->stats.pages_came++;
	came(a, p, now, (struct link_extent){ p->gfn, 1, p->bytes, LINK_DATA });
}

bool fetch_page(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes)
{
	unsigned int piece = body->detail & LINK_PARITY;
	struct asker_page *p;

	if (bytes != sizeof(*body) + link_page_piece(piece))
		return false;
	if (!is_of_now(a, LINK_ROUND(body->detail)))
		return true;
	p = find(a, link_body_gfn(body));
	if (!p || p->state != ASKER_ASKED || p->have & 1u << piece)
		a->stats.pieces_duplicate++;
	else
		take_piece(a, p, now, piece, body + 1);
	return true;
}

/* What does not unpack has overwritten the pieces that came before. */
static bool take_packed(struct asker *a, struct asker_page *p, uint64_t now, const void *from,
			size_t bytes)
{
	p->have = 0;
	if (!unpack_page(from, bytes, p->bytes))
		return false;
	a->stats.pages_came++;
	a->stats.pages_packed++;
	came(a, p, now, (struct link_extent){ p->gfn, 1, p->bytes, LINK_DATA });
	return true;
}

bool fetch_packed(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes)
{
	struct asker_page *p;

	if (!(a->there.features & a->setup.offer.features & LINK_FEATURE_PACKED) ||
	    body->detail & LINK_PARITY || bytes <= sizeof(*body) ||
	    bytes > sizeof(*body) + LINK_PIECE_BYTES)
		return false;
	if (!is_of_now(a, LINK_ROUND(body->detail)))
		return true;
	p = find(a, link_body_gfn(body));
	if (p && p->state == ASKER_ASKED)
		return take_packed(a, p, now, body + 1, bytes - sizeof(*body));
	a->stats.pieces_duplicate++;
	return true;
}

static bool is_good_run(const struct asker *a, struct link_run run)
{
	uint64_t frames = link_run_frames(run);
	enum link_what what = link_run_what(run);

	return frames && frames <= LINK_RUN_FRAMES_MAX &&
	       (what == LINK_ZEROS || what == LINK_LOST) &&
	       link_has(&a->there, link_run_gfn(run), frames);
}

/* One page of the run is given out with all of it, the others by themselves or as done: a vCPU
 * waits for its own page and not for the run's other end. */
static void take_run(struct asker *a, uint64_t now, struct link_run run)
{
	const struct link_extent whole = { link_run_gfn(run), link_run_frames(run), NULL,
					   link_run_what(run) };
	struct link_extent part = whole;
	bool given = false, asked = false;

	EACH_PAGE(a, p)
	{
		if (p->state != ASKER_ASKED || p->gfn - whole.gfn >= whole.frames)
			continue;
		asked = true;
		part.gfn = p->gfn;
		part.frames = !is_background(p);
		came(a, p, now, is_background(p) && !given ? whole : part);
		given |= is_background(p);
	}
	a->stats.unasked += !asked;
	a->stats.runs_came++;
}

bool fetch_runs(struct asker *a, uint64_t now, const struct link_body *body, size_t bytes)
{
	struct link_run run[LINK_RUNS_MAX];

	if (!body->detail || body->detail > LINK_RUNS_MAX ||
	    bytes != sizeof(*body) + body->detail * sizeof(run[0]))
		return false;
	memcpy(run, body + 1, body->detail * sizeof(run[0]));
	for (unsigned int i = 0; i < body->detail; i++)
		if (!is_good_run(a, run[i]))
			return false;
	if (!is_of_now(a, link_body_gfn(body)))
		return true;
	for (unsigned int i = 0; i < body->detail; i++)
		take_run(a, now, run[i]);
	return true;
}

/* --- giving out ------------------------------------------------------------------------------- */

static struct asker_page *find_came(const struct asker *a, bool urgent)
{
	EACH_PAGE(a, p)
	if (p->state == ASKER_CAME && (!urgent || p->wanted & ASKER_URGENT))
		return p;
	return NULL;
}

/* Is it the last page of its background request? */
static bool completes(const struct asker *a, const struct asker_page *page)
{
	EACH_PAGE(a, p)
	if (p != page && p->state != ASKER_FREE && p->wanted & ASKER_BACKGROUND &&
	    p->first == page->first)
		return false;
	return true;
}

static void note_latency(struct asker *a, uint64_t waited)
{
	unsigned int bucket = waited ? 64 - (unsigned int)__builtin_clzll(waited) : 0;

	a->latency[MIN(bucket, ASKER_BUCKETS - 1u)]++;
}

static void give(struct asker *a, struct asker_page *p, struct asker_answer *answer)
{
	*answer = (struct asker_answer){
		.extent = p->extent,
		.urgent = p->wanted & ASKER_URGENT,
		.completes = p->gfn,
		.waited = p->due - p->asked,
	};
	if (answer->urgent) {
		note_latency(a, answer->waited);
		p->wanted &= (uint8_t)~ASKER_URGENT;
	} else {
		answer->completes = completes(a, p) ? p->first : ASKER_NOTHING;
		p->wanted = 0;
	}
	a->lent = p;
	if (!p->wanted)
		p->state = ASKER_FREE;
}

bool asker_take(struct asker *a, bool urgent_only, struct asker_answer *answer)
{
	struct asker_page *p;

	do {
		p = find_came(a, true);
		a->lent = NULL;
		if (!p && !urgent_only)
			p = find_came(a, false);
		if (!p)
			return false;
		give(a, p, answer);
		/* Not of use to anybody: a part of a run that was given out, and not the last. */
	} while (!answer->extent.frames && answer->completes == ASKER_NOTHING);
	return true;
}
