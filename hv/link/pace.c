/* SPDX-License-Identifier: MIT */
/*
 * How fast to ask. See hv/link/pace.h.
 *
 * The window grows while pages take about as long as the link's own round trip, and shrinks when
 * they take longer: then they stand in a queue, and so would what is urgent. Loss alone says
 * little on a link that loses. Neither shrinks the window below a floor: where both machines share
 * a host's CPUs, an answer is late for many reasons.
 */
#include "hv/link/pace.h"

#define FIRST_WINDOW 16 /* pages */
#define FLOOR        8  /* pages: neither loss nor a slow answer goes below */
#define FIRST_WAIT   50000
#define WAIT_MAX     1000000
#define BEST_FOR     10000000 /* us: then the link may have become another */
#define SLACK        200      /* us that a poll may come late */
#define REORDER      1000     /* us: so much later may come what was asked for earlier */
#define DOUBLE_MAX   10
#define LOSSY        (PACE_SCALE / 32)

void pace_init(struct pace *p, unsigned int window_max, uint64_t min_wait)
{
	*p = (struct pace){
		.min_wait = min_wait,
		.window = MIN(FIRST_WINDOW, MAX(window_max, 1u)) * (uint64_t)PACE_SCALE,
		.window_max = MAX(window_max, 1u) * (uint64_t)PACE_SCALE,
	};
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* RFC 6298's estimate. */
static void learn(struct pace_trip *trip, uint64_t took)
{
	if (!trip->smooth) {
		trip->smooth = took;
		trip->deviation = took / 2;
		return;
	}
	trip->deviation = (3 * trip->deviation + distance(trip->smooth, took)) / 4;
	trip->smooth = MAX((7 * trip->smooth + took) / 8, UINT64_C(1));
}

/* At most once for each round trip: what is on its way was asked for in the old window. */
static void shrink(struct pace *p, uint64_t now, uint64_t to)
{
	if (now - p->slowed < p->trip[0].smooth)
		return;
	p->slowed = now;
	p->window = MIN(p->window, MAX(to, (uint64_t)PACE_SCALE));
}

/* Longer, and it has stood in a queue. */
static uint64_t unhurried(const struct pace *p)
{
	return p->best + p->best / 2 + SLACK;
}

uint64_t pace_expects(const struct pace *p)
{
	return MAX(unhurried(p), p->trip[0].smooth + p->trip[0].deviation);
}

void pace_sample(struct pace *p, uint64_t now, uint64_t took, bool urgent)
{
	took = MAX(took, UINT64_C(1));
	p->doubled = 0;
	learn(&p->trip[urgent], took);
	if (took <= p->best || now >= p->best_until) {
		p->best = took;
		p->best_until = now + BEST_FOR;
	}
	if (urgent)
		return;
	if (took > unhurried(p))
		shrink(p, now, MAX(p->window - p->window / 8, FLOOR * (uint64_t)PACE_SCALE));
	else
		p->window = MIN(p->window + PACE_SCALE * (uint64_t)PACE_SCALE / p->window,
				p->window_max);
}

void pace_pieces(struct pace *p, unsigned int pieces, unsigned int again)
{
	uint64_t lost = PACE_SCALE * (uint64_t)MIN(again, pieces) / MAX(pieces, 1u);

	p->loss = (15 * p->loss + lost) / 16;
}

void pace_contents(struct pace *p, uint64_t now, uint64_t took, bool urgent)
{
	if (now - took < p->newest[urgent])
		return;
	p->newest[urgent] = now - took;
	p->latest[urgent] = took;
}

/* Urgent answers overtake those of the background, and not the other way. RFC 8985 finds what TCP
 * has lost like this. */
bool pace_overtaken(const struct pace *p, uint64_t now, uint64_t sent, bool urgent)
{
	for (unsigned int by = 0; by < (urgent ? 2u : 1u); by++) {
		uint64_t patience = MAX(p->trip[by].smooth / 4, (uint64_t)REORDER);

		if (p->newest[by] > sent && now - sent > p->latest[by] + patience)
			return true;
	}
	return false;
}

void pace_late(struct pace *p, uint64_t now)
{
	shrink(p, now, MAX(p->window / 4 * 3, FLOOR * (uint64_t)PACE_SCALE));
}

/* Pages that were asked for together run out of time together: that counts once. */
void pace_timed_out(struct pace *p, uint64_t now)
{
	if (now - p->doubled_at < pace_wait(p, false, 1))
		return;
	p->doubled_at = now;
	p->doubled += p->doubled < DOUBLE_MAX;
}

uint64_t pace_wait(const struct pace *p, bool urgent, unsigned int n)
{
	const struct pace_trip *trip = &p->trip[urgent && p->trip[1].smooth];
	uint64_t wait = trip->smooth ? trip->smooth + 4 * trip->deviation : FIRST_WAIT;

	wait = MAX(wait, p->min_wait);
	n = MAX(n ? n - 1 : 0, p->doubled);
	return MIN(wait << MIN(n, (unsigned int)DOUBLE_MAX), MAX((uint64_t)WAIT_MAX, p->min_wait));
}

unsigned int pace_window(const struct pace *p)
{
	return (unsigned int)MAX(p->window / PACE_SCALE, UINT64_C(1));
}

bool pace_wants_parity(const struct pace *p)
{
	return p->loss >= LOSSY;
}
