/* SPDX-License-Identifier: MIT */
/* The background stream. See hv/stream.h. */
#include "hv/stream.h"

#include "hv/clock.h"
#include "hv/vm.h"

#define CHUNK        16 /* pages of one request */
#define LOOKS        64 /* entries looked at in one step */
#define REPLIES_STEP 16

void stream_init(struct stream *s, struct pager *pager, const struct run_config *config)
{
	uint64_t chunks = (pager->frames + CHUNK - 1) / CHUNK;

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

static bool owed(const struct stream *s, gfn_t gfn, struct ept_state *e)
{
	*e = ept_lookup(&s->pager->vm->ept, gfn);
	return e->kind == EPT_ABSENT && (s->sweeping || !e->requested);
}

static bool look_up(struct stream *s, gfn_t *gfn)
{
	struct ept_state e;

	for (unsigned int i = 0; i < LOOKS && s->up < s->pager->frames; i++) {
		if (owed(s, s->up, &e)) {
			*gfn = s->up;
			return true;
		}
		s->up = ALIGN_DOWN(s->up, level_frames(e.level)) + level_frames(e.level);
	}
	return false;
}

static bool look_down(struct stream *s, gfn_t *gfn)
{
	struct ept_state e;

	for (unsigned int i = 0; i < LOOKS && s->down; i++) {
		if (owed(s, s->down - 1, &e)) {
			*gfn = s->down - 1;
			return true;
		}
		s->down = ALIGN_DOWN(s->down - 1, level_frames(e.level));
	}
	return false;
}

/* Chunks in a full-period pseudo-random order: x -> 5x + 1 modulo a power of two visits all (Hull
 * and Dobell); what lies beyond the end is passed over. */
static bool look_random(struct stream *s, gfn_t *gfn)
{
	struct ept_state e;

	for (unsigned int i = 0; i < LOOKS && s->step < s->period; i++) {
		s->step++;
		s->up = (s->up * 5 + 1) & (s->period - 1);
		*gfn = s->up * CHUNK;
		if (*gfn < s->pager->frames && owed(s, *gfn, &e))
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

	if ((s->under_way + 1) * CHUNK > MAX(s->window, (unsigned int)CHUNK))
		return false;
	if (s->rate == CONFIG_UNLIMITED)
		return true;
	ms = cycles_to_us(clock_now() - s->begun) / 1000;
	return s->sent < ms * s->rate;
}

/* Pages from gfn on that are owed, a chunk at the most; upwards, or downwards ending at gfn. */
static uint64_t extent(const struct stream *s, gfn_t *gfn, bool downwards)
{
	uint64_t n = 1, most = MIN(s->window, (unsigned int)CHUNK);
	struct ept_state e;

	while (n < most && (downwards ? *gfn > 0 : *gfn + n < s->pager->frames) &&
	       owed(s, downwards ? *gfn - 1 : *gfn + n, &e)) {
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

/* A source that has everything at hand is not asked: it is read. */
static bool take_now(struct stream *s, unsigned int cpu, gfn_t gfn, uint64_t n)
{
	const struct source_ops *ops = s->pager->source->ops;
	struct page_reply reply;

	if (!ops->now(s->pager->source, gfn, &reply))
		return false;
	pager_place(s->pager, cpu, &reply);
	for (gfn_t at = reply.gfn + reply.frames; at < gfn + n; at = reply.gfn + reply.frames) {
		if (!ops->now(s->pager->source, at, &reply))
			break;
		pager_place(s->pager, cpu, &reply);
	}
	return true;
}

static bool ask(struct stream *s, unsigned int cpu)
{
	const struct source_ops *ops = s->pager->source->ops;
	gfn_t gfn;
	uint64_t n;

	if (!may_send(s) || !look(s, &gfn)) {
		sweep_again(s);
		return false;
	}
	n = extent(s, &gfn, gfn != s->up && gfn + 1 == s->down);
	if (!take_now(s, cpu, gfn, n)) {
		if (ops->request(s->pager->source, cpu, gfn, n, false))
			return false;
		s->under_way++;
	}
	pass_over(s, gfn, n);
	s->sent += n;
	return true;
}

bool stream_step(struct stream *s, unsigned int cpu)
{
	const struct source_ops *ops = s->pager->source->ops;
	struct page_reply reply;
	bool any = false, last;

	for (unsigned int i = 0; i < REPLIES_STEP; i++) {
		if (!ops->poll(s->pager->source, &reply, &last))
			break;
		pager_place(s->pager, cpu, &reply);
		s->under_way -= last;
		any = true;
	}
	return ask(s, cpu) || any;
}
