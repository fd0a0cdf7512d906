/* SPDX-License-Identifier: MIT */
/*
 * The link between two machines: any datagrams, in clear, or sealed by one who has the key and
 * means harm. Each side keeps its promises: it touches no memory but its own, places only pages
 * that were asked for, keeps its counts, and never lets two sides run.
 */
#include "hv/link/answerer.h"
#include "hv/link/asker.h"
#include "mm/err.h"
#include "tests/fuzz/fuzz.h"

#define FRAMES 200
#define PAGES  64
#define STATE  (2 * LINK_PIECE_BYTES + 9)
#define MAP    (1008 / 8) /* bytes: up to the last region's end */

struct world {
	struct fuzz_input in;
	uint64_t now, random;
	struct answerer answerer;
	struct asker asker;
	struct asker_page *pages;
	uint8_t *state;                /* room for it at the asker, exactly */
	uint8_t *map_here, *map_there; /* exactly */
	bool source_runs, gone, started, ahead;
	uint64_t asked, completed;
};

static const struct link_offer offer = {
	.vendor = LINK_VENDOR_VMX,
	.vcpus = 1,
	.features = 0xf | LINK_FEATURE_PACKED | LINK_FEATURE_ROUNDS,
	.region = { { 16, FRAMES }, { 1000, 8 } },
};

static void fill(void *ctx, void *to, size_t n)
{
	struct world *w = ctx;

	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = (uint8_t)(w->random++ * 37 + 1);
}

static void look(void *ctx, gfn_t gfn, struct link_extent *e)
{
	static uint8_t page[PAGE_SIZE];
	const struct world *w = ctx;

	fuzz_check(w->gone || (w->source_runs && w->ahead));
	fuzz_check((gfn >= 16 && gfn < 16 + FRAMES) || (gfn >= 1000 && gfn < 1008));
	memset(page, (int)gfn, sizeof(page));
	*e = (struct link_extent){ gfn, 1, page, LINK_DATA };
	if (gfn % 8 >= 5)
		*e = (struct link_extent){ gfn - gfn % 8 + 5, 3, NULL, LINK_ZEROS };
}

/* Every third time it is too early. */
static bool next_round(void *ctx, unsigned int round, bool last)
{
	struct world *w = ctx;

	fuzz_check(!w->gone && round && round <= LINK_ROUNDS_MAX);
	if (!last && w->random++ % 3 == 0)
		return false;
	memset(w->map_there, (int)round, MAP);
	w->ahead = true;
	return true;
}

static void begin(struct world *w)
{
	struct answerer_setup answerer = { .key = { .insecure = true },
					   .random = { fill, w },
					   .offer = offer,
					   .limit = 50000,
					   .look = look,
					   .round = next_round,
					   .map = w->map_there,
					   .ctx = w };
	struct asker_setup asker = { .key = { .insecure = true },
				     .random = { fill, w },
				     .offer = offer,
				     .state = w->state,
				     .state_room = STATE,
				     .map = w->map_here,
				     .pages = w->pages,
				     .npages = PAGES,
				     .window = 16 };

	fuzz_check(!answerer_init(&w->answerer, &answerer));
	fuzz_check(!asker_init(&w->asker, &asker));
	w->source_runs = true;
}

/* --- what must be so at every moment ------------------------------------------------------------
 */

static void check(struct world *w)
{
	enum link_phase phase = answerer_phase(&w->answerer);
	unsigned int under_way = 0;

	w->source_runs = phase == LINK_RUNS_HERE;
	w->gone |= phase == LINK_GONE;
	fuzz_check(!w->gone || phase == LINK_GONE);
	for (unsigned int i = 0; i < PAGES; i++) {
		const struct asker_page *p = &w->pages[i];

		under_way += p->state == ASKER_ASKED && p->wanted == ASKER_BACKGROUND;
		fuzz_check(p->state == ASKER_FREE || p->wanted);
		fuzz_check(p->state == ASKER_CAME || p->state == ASKER_FREE || p->have != 7);
	}
	fuzz_check(under_way == w->asker.under_way);
	fuzz_check(w->answerer.urgent.n <= ANSWERER_URGENT);
	fuzz_check(w->answerer.background.n <= ANSWERER_BACKGROUND);
	fuzz_check(asker_state_bytes(&w->asker) <= STATE ||
		   asker_phase(&w->asker) == ASKER_REFUSED);
}

static void take(struct world *w)
{
	struct asker_answer a;

	while (asker_take(&w->asker, false, &a)) {
		const uint8_t *bytes = a.extent.data;

		fuzz_check(!bytes == (a.extent.what != LINK_DATA));
		fuzz_check(!bytes || a.extent.frames == 1);
		for (unsigned int i = 0; bytes && i < PAGE_SIZE; i += 512)
			w->random += bytes[i]; /* so that reading it is noticed */
		w->completed += a.completes != ASKER_NOTHING;
		fuzz_check(w->completed <= w->asked);
	}
}

/* --- steps
 * ---------------------------------------------------------------------------------------- */

/* A copy of exactly that size, so that reading beyond it is noticed. */
static void give(struct world *w, bool to_asker, const uint8_t *datagram, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, datagram, n);
	if (to_asker)
		asker_receive(&w->asker, w->now, copy, n);
	else
		(void)answerer_receive(&w->answerer, w->now, copy, n);
	free(copy);
}

/* Both sides talk as they should, for a while. */
static void talk(struct world *w, unsigned int rounds)
{
	uint8_t datagram[LINK_DATAGRAM_MAX];
	bool stranger;
	size_t n;

	for (unsigned int i = 0; i < rounds; i++) {
		w->now += 500;
		while ((n = asker_poll(&w->asker, w->now, datagram)))
			give(w, false, datagram, n);
		while ((n = answerer_poll(&w->answerer, w->now, datagram, &stranger)))
			give(w, true, datagram, n);
		check(w);
		take(w);
	}
}

static size_t any_bytes(struct world *w, uint8_t *to, size_t most)
{
	size_t wanted = fuzz_take(&w->in, 2) % 1500, n = MIN(wanted, most), have;

	memset(to, (int)fuzz_take(&w->in, 1), n);
	have = MIN(n, w->in.n);
	memcpy(to, w->in.p, have);
	w->in.p += have;
	w->in.n -= have;
	return n;
}

/* What a body of that kind should be followed by, with numbers that may be wrong. */
static size_t likely(struct world *w, struct link_body *body, uint8_t *to)
{
	unsigned int n = body->detail;
	size_t bytes = 0;

	switch (body->kind) {
	case LINK_ASK:
		for (; bytes < n * sizeof(struct link_ask) && bytes < 1024; bytes += 16) {
			struct link_ask ask = { .gfn = fuzz_take(&w->in, 2) % 300,
						.frames = (uint16_t)(fuzz_take(&w->in, 1) % 70),
						.pieces = (uint8_t)(fuzz_take(&w->in, 1) % 17),
						.flags = (uint8_t)(fuzz_take(&w->in, 1) % 3) };

			memcpy(to + bytes, &ask, sizeof(ask));
		}
		return bytes;
	case LINK_RUNS:
		for (; bytes < n * sizeof(struct link_run) && bytes < 1024; bytes += 8) {
			uint64_t gfn = fuzz_take(&w->in, 2) % 300, frames = fuzz_take(&w->in, 1);
			struct link_run run =
				link_run(gfn, frames, (enum link_what)(fuzz_take(&w->in, 1) % 4));

			memcpy(to + bytes, &run, sizeof(run));
		}
		return bytes;
	case LINK_PAGE:
		memset(to, 3, LINK_PIECE_BYTES);
		return link_page_piece(n & LINK_PARITY);
	case LINK_MAP:
		memset(to, 0x11, MAP);
		return MAP;
	case LINK_MAP_ASK: {
		struct link_map_ask map = { .round = (uint32_t)fuzz_take(&w->in, 1) % 4,
					    .first = (uint32_t)fuzz_take(&w->in, 1) % 2,
					    .pieces = fuzz_take(&w->in, 1) };

		memcpy(to, &map, sizeof(map));
		return sizeof(map);
	}
	case LINK_PACKED_PAGE:
		memset(to + LINK_PIECE_BYTES, (int)n, PAGE_SIZE);
		bytes = pack_page(to + LINK_PIECE_BYTES, w->answerer.pack_room, to);
		for (unsigned int i = 0; n % 2 && i < 4; i++)
			to[fuzz_take(&w->in, 1) % bytes] ^= (uint8_t)fuzz_take(&w->in, 1);
		return bytes - n % 3;
	case LINK_STATE:
		memcpy(to, w->answerer.image, LINK_ID);
		memset(to + LINK_ID, 4, LINK_PIECE_BYTES);
		return LINK_ID + (n < 2 ? LINK_PIECE_BYTES : 9);
	default:
		return any_bytes(w, to, 1024);
	}
}

/* Sealed with the session's keys, as if by the other side. */
static void forge(struct world *w, bool to_asker)
{
	static const uint8_t kinds[] = {
		LINK_ASK,    LINK_STATE_ASK, LINK_TAKE,    LINK_DONE, LINK_LEAVE,
		LINK_OPENED, LINK_STATUS,    LINK_STATE,   LINK_PAGE, LINK_RUNS,
		LINK_GIVEN,  LINK_ENDED,     LINK_REFUSED, 0,         LINK_PACKED_PAGE,
		LINK_MAP,    LINK_MAP_ASK,   255
	};
	struct channel *c = to_asker ? &w->asker.channel : &w->answerer.channel;
	struct channel other = { .session = c->session, .suite = c->suite, .out = c->in };
	uint8_t datagram[LINK_DATAGRAM_MAX + 64 + PAGE_SIZE];
	uint8_t *then = datagram + sizeof(struct link_head) + sizeof(struct link_body);
	struct link_body body;
	uint64_t exact, gfn;
	size_t n;

	body.kind = kinds[fuzz_take(&w->in, 1) % sizeof(kinds)];
	body.detail = (uint8_t)(fuzz_take(&w->in, 1) % 70);
	gfn = fuzz_take(&w->in, 2);
	body = link_body((enum link_kind)body.kind, body.detail,
			 body.kind == LINK_STATE ? STATE : gfn % 300);
	exact = fuzz_take(&w->in, 1) % 4;
	n = exact ? likely(w, &body, then) : any_bytes(w, then, 1400);
	memcpy(datagram + sizeof(struct link_head), &body, sizeof(body));
	other.sent = c->high;
	n = channel_seal(&other, datagram, sizeof(body) + n);
	give(w, to_asker, datagram, n);
}

static void clear(struct world *w, bool to_asker)
{
	uint8_t datagram[LINK_DATAGRAM_MAX];
	size_t n = any_bytes(w, datagram, sizeof(datagram));

	if (n > 4 && fuzz_take(&w->in, 1) % 4)
		memset(datagram, 0, 4);
	give(w, to_asker, datagram, n);
}

static void ask(struct world *w)
{
	gfn_t gfn = fuzz_take(&w->in, 2) % 1100;
	uint64_t frames = fuzz_take(&w->in, 1) % 70;

	if (frames > 60)
		(void)!asker_next_round(&w->asker, w->now);
	w->asked += !asker_ask(&w->asker, w->now, gfn, frames, frames == 1);
}

static const uint8_t state[STATE] = { 1 };

/* Most inputs begin where the guest runs at the destination, and some pages were asked for. */
static void hurry(struct world *w)
{
	if (fuzz_take(&w->in, 1) % 4 == 0)
		return;
	talk(w, 12);
	fuzz_check(!answerer_freeze(&w->answerer, w->now, state, STATE));
	talk(w, 8);
	asker_take_over(&w->asker);
	talk(w, 4);
	fuzz_check(asker_phase(&w->asker) == ASKER_RUNS);
	for (gfn_t gfn = 20; gfn < 52; gfn += 16)
		w->asked += !asker_ask(&w->asker, w->now, gfn, 16, false);
	w->now += 500;
	(void)asker_poll(&w->asker, w->now, (uint8_t[LINK_DATAGRAM_MAX]){ 0 });
}

static void step(struct world *w)
{
	switch (fuzz_take(&w->in, 1) % 10) {
	case 0:
		talk(w, 1 + fuzz_take(&w->in, 1) % 8);
		break;
	case 1:
		(void)!answerer_freeze(&w->answerer, w->now, state, STATE);
		break;
	case 2:
		asker_take_over(&w->asker);
		break;
	case 3:
		ask(w);
		break;
	case 4:
	case 5:
		forge(w, true);
		break;
	case 6:
		forge(w, false);
		break;
	case 7:
		clear(w, fuzz_take(&w->in, 1) & 1);
		break;
	case 8:
		w->now += 60000;
		talk(w, 1);
		break;
	default:
		asker_finish(&w->asker, w->now);
		break;
	}
	check(w);
	take(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = calloc(1, sizeof(*w));

	w->in = (struct fuzz_input){ data, size };
	w->pages = calloc(PAGES, sizeof(*w->pages));
	w->state = malloc(STATE);
	w->map_here = calloc(1, MAP);
	w->map_there = calloc(1, MAP);
	w->now = 1;
	begin(w);
	hurry(w);
	for (unsigned int i = 0; w->in.n && i < 64; i++)
		step(w);
	free(w->map_here);
	free(w->map_there);
	free(w->state);
	free(w->pages);
	free(w);
	return 0;
}
