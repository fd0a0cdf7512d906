/* SPDX-License-Identifier: MIT */
/* The background stream. See hv/migrate/stream.h. */
#include "hv/migrate/stream.h"

#include "hv/base/clock.h"
#include "hv/vm/vm.h"

#define LOOKS 64 /* entries looked at in one step */

void stream_init(struct stream *s, struct pager *pager, const struct run_config *config)
{
	uint64_t chunks = (pager->frames + STREAM_CHUNK - 1) / STREAM_CHUNK;

	*s = (struct stream){
		.pager = pager,
		.order = config->order,
		.window = config->window,
		.rate = config->stream,
		.up = config->order == ORDER_REVERSE ? pager->frames : 0,
		.down = config->order == ORDER_REVERSE ? pager->frames : 0,
		.begun = clock_now(),
		.period = 1,
	};
	while (s->period < chunks)
		s->period *= 2;
}

/* --- where to look next -------------------------------------------------------------------- */

/* Frames that a request which is under way covers from gfn on; 0: none does. */
static uint64_t under_way(const struct stream *s, gfn_t gfn)
{
	for (unsigned int i = 0; i < s->under_way; i++)
		if (gfn - s->request[i].gfn < s->request[i].frames)
			return s->request[i].gfn + s->request[i].frames - gfn;
	return 0;
}

/* Should gfn be asked for? If not, *from and *to say what can be passed over with it. */
static bool owed(const struct stream *s, gfn_t gfn, gfn_t *from, gfn_t *to)
{
	struct ept_state e = ept_lookup(&s->pager->vm->ept, gfn);
	uint64_t coming;

	if (e.kind != EPT_ABSENT || e.zero || (e.requested && !s->sweeping)) {
		*from = ALIGN_DOWN(gfn, level_frames(e.level));
		*to = *from + level_frames(e.level);
		return false;
	}
	coming = under_way(s, gfn);
	*from = gfn;
	*to = gfn + MAX(coming, UINT64_C(1));
	return !coming;
}

static bool look_up(struct stream *s, gfn_t *gfn)
{
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && s->up < s->pager->frames; i++) {
		if (owed(s, s->up, &from, &to)) {
			*gfn = s->up;
			return true;
		}
		s->up = to;
	}
	return false;
}

static bool look_down(struct stream *s, gfn_t *gfn)
{
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && s->down; i++) {
		if (owed(s, s->down - 1, &from, &to)) {
			*gfn = s->down - 1;
			return true;
		}
		s->down = from;
	}
	return false;
}

/* Chunks in a full-period pseudo-random order: x -> 5x + 1 modulo a power of two visits all (Hull
 * and Dobell); what lies beyond the end is passed over. */
static bool look_random(struct stream *s, gfn_t *gfn)
{
	gfn_t from, to;

	for (unsigned int i = 0; i < LOOKS && s->step < s->period; i++) {
		s->step++;
		s->up = (s->up * 5 + 1) & (s->period - 1);
		*gfn = s->up * STREAM_CHUNK;
		if (*gfn < s->pager->frames && owed(s, *gfn, &from, &to))
			return true;
	}
	return false;
}

/* Outwards from the latest fault, above and below in turn. */
static bool look_bubble(struct stream *s, gfn_t *gfn)
{
	if (s->centre != s->pager->last_fault) {
		s->centre = s->pager->last_fault;
		s->up = s->centre;
		s->down = s->centre;
	}
	s->turn = !s->turn;
	if (s->turn)
		return look_up(s, gfn) || look_down(s, gfn);
	return look_down(s, gfn) || look_up(s, gfn);
}

static bool order_is_through(const struct stream *s)
{
	if (s->order == ORDER_RANDOM && !s->sweeping)
		return s->step == s->period;
	return s->up >= s->pager->frames && s->down == 0;
}

/* What was requested and never came is owed again: look from the start, once nothing is under
 * way any more. */
static void sweep_again(struct stream *s)
{
	if (s->under_way || !order_is_through(s))
		return;
	s->sweeping = true;
	s->up = 0;
	s->down = 0;
}

static bool look(struct stream *s, gfn_t *gfn)
{
	if (s->sweeping)
		return look_up(s, gfn);
	switch (s->order) {
	case ORDER_REVERSE:
		return look_down(s, gfn);
	case ORDER_RANDOM:
		return look_random(s, gfn);
	case ORDER_BUBBLE:
		return look_bubble(s, gfn);
	default:
		return look_up(s, gfn);
	}
}

/* --- asking ------------------------------------------------------------------------------- */

static bool may_send(const struct stream *s)
{
	uint64_t ms;

	unsigned int most = MAX(s->window / STREAM_CHUNK, 1u);

	if (s->under_way >= MIN(most, (unsigned int)STREAM_REQUESTS))
		return false;
	if (s->rate == CONFIG_UNLIMITED)
		return true;
	ms = cycles_to_us(clock_now() - s->begun) / 1000;
	return s->sent < ms * s->rate;
}

/* Pages from gfn on that are owed, a chunk at the most; upwards, or downwards ending at gfn. */
static uint64_t extent(const struct stream *s, gfn_t *gfn, bool downwards)
{
	uint64_t n = 1, most = MIN(s->window, (unsigned int)STREAM_CHUNK);
	gfn_t from, to;

	while (n < most && (downwards ? *gfn > 0 : *gfn + n < s->pager->frames) &&
	       owed(s, downwards ? *gfn - 1 : *gfn + n, &from, &to)) {
		n++;
		if (downwards)
			(*gfn)--;
	}
	return n;
}

static void pass_over(struct stream *s, gfn_t gfn, uint64_t n)
{
	if (s->order == ORDER_RANDOM && !s->sweeping)
		return;
	if (gfn == s->up)
		s->up += n;
	else if (gfn + n == s->down)
		s->down = gfn;
}

static void begin_zeros(struct stream *s, const struct page_reply *reply)
{
	s->zeros = *reply;
	s->zeros_came = false;
}

/* A source that has everything at hand is not asked: it is read. Returns how many pages. */
static uint64_t take_now(struct stream *s, unsigned int cpu, gfn_t gfn)
{
	struct page_reply reply;

	if (!s->pager->source->ops->now(s->pager->source, gfn, &reply))
		return 0;
	if (reply.data)
		pager_place(s->pager, cpu, &reply);
	else
		begin_zeros(s, &reply);
	return 1;
}

static bool ask(struct stream *s, unsigned int cpu)
{
	gfn_t gfn;
	uint64_t n;

	if (s->zeros.frames || !may_send(s))
		return false;
	if (!look(s, &gfn)) {
		sweep_again(s);
		return false;
	}
	n = take_now(s, cpu, gfn);
	if (!n) {
		n = extent(s, &gfn, gfn != s->up && gfn + 1 == s->down);
		if (s->pager->source->ops->request(s->pager->source, cpu, gfn, n, false))
			return false;
		s->request[s->under_way].gfn = gfn;
		s->request[s->under_way++].frames = n;
	}
	pass_over(s, gfn, n);
	s->sent += n;
	return true;
}

/* --- taking ------------------------------------------------------------------------------- */

static void completed(struct stream *s, gfn_t gfn)
{
	for (unsigned int i = 0; i < s->under_way; i++)
		if (s->request[i].gfn == gfn) {
			s->request[i] = s->request[--s->under_way];
			return;
		}
}

/*
 * A run of zeros can be long: a piece at a time, so that urgent pages get their turn. What is here
 * already is no piece: a run that was asked for from above lies upon what came before it. Once it
 * has brought something, a long stretch of what is here ends it; what it had beyond is asked for
 * again.
 */
static void place_zeros(struct stream *s, unsigned int cpu)
{
	gfn_t end = s->zeros.gfn + s->zeros.frames, gfn = s->zeros.gfn;

	for (unsigned int i = 0; i < LOOKS && gfn < end; i++) {
		struct ept_state there = ept_lookup(&s->pager->vm->ept, gfn);

		if (there.kind == EPT_ABSENT) {
			s->zeros.gfn = pager_place_zeros(s->pager, cpu, gfn, end);
			s->zeros.frames = end - MIN(s->zeros.gfn, end);
			s->zeros_came = true;
			return;
		}
		gfn = ALIGN_DOWN(gfn, level_frames(there.level)) + level_frames(there.level);
	}
	s->zeros.gfn = gfn;
	s->zeros.frames = s->zeros_came ? 0 : end - MIN(gfn, end);
}

/* One page, or one piece of a run. */
static bool take(struct stream *s, unsigned int cpu)
{
	bool placing = s->zeros.frames;
	struct page_reply reply;

	if (s->pager->source->ops->poll(s->pager->source, placing, &reply)) {
		if (reply.completes != NO_REQUEST)
			completed(s, reply.completes);
		if (reply.frames == 1)
			pager_place(s->pager, cpu, &reply);
		else
			begin_zeros(s, &reply);
		return true;
	}
	if (placing)
		place_zeros(s, cpu);
	return placing;
}

bool stream_step(struct stream *s, unsigned int cpu)
{
	bool took = take(s, cpu);

	return ask(s, cpu) || took;
}

bool stream_idle(const struct stream *s)
{
	return !s->under_way && !s->zeros.frames;
}
