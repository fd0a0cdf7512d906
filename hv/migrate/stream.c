/* SPDX-License-Identifier: MIT */
/* The background stream. See hv/migrate/stream.h. */
#include "hv/migrate/stream.h"

#include "hv/base/clock.h"
#include "hv/mem/place.h"

#define CHUNK 16 /* pages of one request, where no larger piece arrives at once */
#define LOOKS 64 /* entries of a run looked at in one step */

void stream_init(struct stream *s, struct memory *mem, const struct run_config *config,
		 const struct touches *replay)
{
	*s = (struct stream){
		.mem = mem,
		.order = order_of(config->order),
		.chunk = MAX(mem->pager.arrive, (uint64_t)CHUNK),
		.window = config->window,
		.rate = config->stream,
		.begun = clock_now(),
	};
	cursor_init(&s->cursor, mem, s->chunk);
	s->cursor.replay = replay;
	s->order->begin(&s->cursor);
}

void stream_set_rate(struct stream *s, unsigned int rate)
{
	s->rate = rate;
	s->begun = clock_now();
	s->sent = 0;
}

/* --- asking ------------------------------------------------------------------------------- */

/* Pages of the next request. */
static uint64_t most(const struct stream *s)
{
	return s->cursor.most ? MIN(s->cursor.most, s->chunk) : s->chunk;
}

static bool has_room(const struct stream *s)
{
	uint64_t requests = MAX(s->window / most(s), UINT64_C(1));

	return s->cursor.under_way < MIN(requests, (uint64_t)CURSOR_REQUESTS);
}

static bool is_time(const struct stream *s)
{
	uint64_t ms;

	if (s->rate == CONFIG_UNLIMITED)
		return true;
	ms = cycles_to_us(clock_now() - s->begun) / 1000;
	return s->sent < ms * s->rate;
}

/* A request that was never answered is owed again: look from the start once nothing is under way.
 */
static void sweep_again(struct stream *s)
{
	if (s->cursor.under_way || !s->order->through(&s->cursor))
		return;
	s->order = order_of(ORDER_LINEAR);
	s->cursor.most = 0;
	s->order->begin(&s->cursor);
	s->cursor.sweeping = true;
}

/* Places a page, or a piece that came whole, at once; a run piece by piece. */
static void take_reply(struct stream *s, unsigned int cpu, const struct page_reply *reply)
{
	if (reply->frames == 1 || reply->whole) {
		pager_place(s->mem, cpu, reply);
	} else {
		s->run = *reply;
		s->run_came = false;
	}
}

/* Reads a page at hand without a request. Returns the number of pages. */
static uint64_t take_now(struct stream *s, unsigned int cpu, gfn_t gfn)
{
	struct page_source *source = s->mem->pager.source;
	struct page_reply reply;

	if (!source->ops->now(source, gfn, &reply))
		return 0;
	take_reply(s, cpu, &reply);
	return 1;
}

/* Asks for pages that begin or end at *gfn. Returns the number of pages; 0: not now. */
static uint64_t request(struct stream *s, unsigned int cpu, gfn_t *gfn)
{
	struct page_source *source = s->mem->pager.source;
	uint64_t arrive = s->mem->pager.arrive, n = arrive;

	if (arrive > 1)
		*gfn = ALIGN_DOWN(*gfn, arrive);
	else
		n = cursor_extent(&s->cursor, gfn, MIN(s->window, most(s)));
	if (source->ops->request(source, cpu, *gfn, n, false))
		return 0;
	cursor_sent(&s->cursor, *gfn, n);
	return n;
}

/* Does a vCPU wait for the page, though the source has answered all that was asked? */
static bool is_unanswered(const struct stream *s, gfn_t gfn)
{
	struct ept_state e = ept_lookup(&s->mem->ept, gfn);

	return e.kind == EPT_ABSENT && e.requested && pager_all_answered(s->mem);
}

/* The next page that is owed of what the policy wants, whatever the rate. */
static bool look_wanted(struct stream *s, gfn_t *gfn)
{
	struct pager *p = &s->mem->pager;
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && p->wanted < p->wanted_end; i++) {
		if (cursor_owed(&s->cursor, p->wanted, &from, &to)) {
			*gfn = p->wanted;
			s->cursor.downwards = false;
			return true;
		}
		p->wanted = to;
	}
	return false;
}

static bool look(struct stream *s, gfn_t *gfn)
{
	if (!is_time(s))
		return false;
	if (s->order->look(&s->cursor, gfn))
		return true;
	sweep_again(s);
	return false;
}

static bool ask(struct stream *s, unsigned int cpu)
{
	bool wanted;
	gfn_t gfn;
	uint64_t n;

	if (s->run.frames || !has_room(s))
		return false;
	wanted = look_wanted(s, &gfn);
	if (!wanted && !look(s, &gfn))
		return false;
	s->healed += s->cursor.sweeping && is_unanswered(s, gfn);
	n = take_now(s, cpu, gfn);
	if (!n)
		n = request(s, cpu, &gfn);
	if (!n)
		return false;
	s->order->pass(&s->cursor, gfn, n);
	if (wanted)
		count_own(&s->mem->pager.stats[cpu].fetched, n);
	else
		s->sent += n;
	return true;
}

/* --- taking ------------------------------------------------------------------------------- */

/*
 * Places one piece at a time, so that urgent pages get their turn in a long run. Passes over pages
 * that are not owed: a run that was asked for from above overlaps earlier ones. Once the run has
 * brought something, a long stretch of such pages ends it; the stream asks for the rest again. Who
 * asks again for a run that brings nothing asks for ever: a discarded page is nothing.
 */
static void place_run(struct stream *s, unsigned int cpu)
{
	gfn_t end = s->run.gfn + s->run.frames, gfn = s->run.gfn;

	for (unsigned int i = 0; i < LOOKS && gfn < end; i++) {
		struct ept_state there = ept_lookup(&s->mem->ept, gfn);

		if (there.kind == EPT_ABSENT && !there.zero) {
			s->run.gfn = pager_place_run(s->mem, cpu, gfn, end, &s->run);
			s->run.frames = end - MIN(s->run.gfn, end);
			s->run_came = true;
			return;
		}
		gfn = state_end(&there, gfn);
	}
	s->run.gfn = gfn;
	s->run.frames = s->run_came ? 0 : end - MIN(gfn, end);
}

/* Takes and places one page, or places one piece of a run. */
static bool take(struct stream *s, unsigned int cpu)
{
	bool placing = s->run.frames;
	struct page_answer answer;

	if (pager_take(s->mem, placing, &answer)) {
		if (!answer.urgent && answer.completes != NO_REQUEST)
			cursor_answered(&s->cursor, answer.completes);
		if (answer.urgent)
			pager_place(s->mem, cpu, &answer.reply);
		else
			take_reply(s, cpu, &answer.reply);
		return true;
	}
	if (placing)
		place_run(s, cpu);
	return placing;
}

bool stream_step(struct stream *s, unsigned int cpu)
{
	bool took = take(s, cpu);

	return ask(s, cpu) || took;
}

bool stream_idle(const struct stream *s)
{
	return !s->cursor.under_way && !s->run.frames;
}
