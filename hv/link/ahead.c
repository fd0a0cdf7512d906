/* SPDX-License-Identifier: MIT */
/* Pre-copy at the destination. See hv/link/ahead.h. */
#include "hv/link/ahead.h"

#define CHUNK   16 /* pages of one request */
#define ANSWERS 64 /* taken in one step */

void ahead_init(struct ahead *p, const struct ahead_ops *ops, void *ctx)
{
	*p = (struct ahead){ .ops = ops, .ctx = ctx };
}

static bool is_in_map(const struct asker *a, gfn_t gfn)
{
	return a->setup.map[gfn / 8] >> gfn % 8 & 1;
}

/* The first page from gfn on that the map has, or the end. A byte without any is passed at once:
 * most of a last map is empty, and the guest stands still meanwhile. */
static gfn_t next_in_map(const struct asker *a, gfn_t gfn)
{
	gfn_t end = link_end(&a->there);

	while (gfn < end && !is_in_map(a, gfn))
		gfn = a->setup.map[gfn / 8] ? gfn + 1 : ALIGN_DOWN(gfn, 8) + 8;
	return MIN(gfn, end);
}

static void forget_all(struct ahead *p, const struct asker *a)
{
	for (gfn_t gfn = 0; gfn < link_end(&a->there); gfn++)
		p->ops->forget(p->ctx, gfn);
}

/* What the map says. Returns how many pages that is. */
static uint64_t forget(struct ahead *p, const struct asker *a)
{
	gfn_t end = link_end(&a->there);
	uint64_t n = 0;

	for (gfn_t gfn = next_in_map(a, 0); gfn < end; gfn = next_in_map(a, gfn + 1)) {
		p->ops->forget(p->ctx, gfn);
		n++;
	}
	return n;
}

static void begin_session(struct ahead *p, const struct asker *a)
{
	if (p->begun)
		forget_all(p, a);
	p->sessions = a->stats.sessions;
	p->begun = p->ended = false;
}

static void next_round(struct ahead *p, struct asker *a, uint64_t now)
{
	int err = asker_next_round(a, now);

	if (err && a->map.round == LINK_ROUNDS_MAX) {
		forget_all(p, a);
		p->ended = true;
	}
	if (err)
		return;
	p->marked = false;
	p->next = 0;
	p->under_way = 0;
	p->begun = true;
}

/* What changed while it was under way is in this map, or in a later one. */
static void take(struct ahead *p, struct asker *a)
{
	struct asker_answer answer;

	for (unsigned int i = 0; i < ANSWERS && asker_take(a, false, &answer); i++) {
		if (answer.extent.data) {
			p->ops->keep(p->ctx, answer.extent.gfn, answer.extent.data);
			p->kept++;
		}
		p->under_way -= answer.completes != ASKER_NOTHING;
	}
}

/* The next pages that the map has: asks for them. False: not now, or there are none. */
static bool ask(struct ahead *p, struct asker *a, uint64_t now)
{
	gfn_t end = link_end(&a->there);
	uint64_t n = 0;

	p->next = next_in_map(a, p->next);
	while (n < CHUNK && p->next + n < end && is_in_map(a, p->next + n))
		n++;
	if (!n || asker_ask(a, now, p->next, n, false))
		return false;
	p->next += n;
	p->under_way++;
	return true;
}

/* The map has come. */
static void mark(struct ahead *p, const struct asker *a)
{
	if (p->marked)
		return;
	p->at_stop = forget(p, a);
	p->marked = true;
	if (a->map.last)
		return;
	if (p->rounds < AHEAD_ROUNDS)
		p->pages[p->rounds] = p->at_stop;
	p->rounds++;
}

static void go_on(struct ahead *p, struct asker *a, uint64_t now)
{
	mark(p, a);
	if (a->there.phase != LINK_RUNS_HERE) {
		if (!a->map.last)
			next_round(p, a, now);
		return;
	}
	take(p, a);
	while (ask(p, a, now))
		;
	if (p->next >= link_end(&a->there) && !p->under_way)
		next_round(p, a, now);
}

void ahead_step(struct ahead *p, struct asker *a, uint64_t now)
{
	if (!asker_has_rounds(a))
		return;
	if (p->sessions != a->stats.sessions)
		begin_session(p, a);
	if (p->ended)
		return;
	if (asker_map_came(a))
		go_on(p, a, now);
	else if (a->map.state == ASKER_NO_MAP && a->there.phase == LINK_RUNS_HERE)
		next_round(p, a, now);
}

bool ahead_settled(const struct ahead *p, const struct asker *a)
{
	if (!p->begun)
		return true;
	return p->sessions == a->stats.sessions &&
	       (p->ended || (asker_map_came(a) && a->map.last && p->marked));
}
