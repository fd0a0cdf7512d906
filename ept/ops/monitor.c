/* SPDX-License-Identifier: MIT */
/* Access monitoring. See ept/monitor.h. */
#include "ept/monitor.h"

#include "ept/tree/limits.h"
#include "ept/tree/slot.h"

static uint64_t random_below(struct ept_monitor *m, uint64_t n)
{
	m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (m->random >> 33) % n;
}

int ept_monitor_begin(struct ept_monitor *m, const struct ept *ept, gfn_t gfn, uint64_t frames,
		      unsigned int min, unsigned int max, uint64_t seed)
{
	if (!gfn_range_ok(ept, gfn, frames) || !min || max > EPT_REGIONS_MAX || min > max / 2 ||
	    frames < min)
		return EPT_INVALID;
	*m = (struct ept_monitor){ .min = min, .max = max, .n = min, .random = seed };
	for (unsigned int i = 0; i < min; i++) {
		gfn_t from = gfn + frames / min * i;
		gfn_t to = i + 1 < min ? from + frames / min : gfn + frames;

		m->region[i] = (struct ept_region){ .gfn = from, .frames = to - from };
	}
	return 0;
}

/* --- an interval -------------------------------------------------------------------------- */

static struct ept_state not_accessed(struct ept_state s, unsigned int arg)
{
	(void)arg;
	s.accessed = false;
	return s;
}

/* 0, or EPT_NOT_HERE: there is no leaf. */
static int sample_slot(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, void *arg)
{
	struct ept_gather *g = arg;

	(void)gfn;
	if (entry_kind(me->ept->fmt, s->entry, s->level) != EPT_PRESENT)
		return EPT_NOT_HERE;
	if (!slot_change(me, s, not_accessed, 0, g))
		return EPT_LOOK_AGAIN;
	g->owed = true;
	return 0;
}

void ept_monitor_sample(struct ept_monitor *m, struct ept_cpu *me, struct ept_gather *g)
{
	for (unsigned int i = 0; i < m->n; i++) {
		struct ept_region *r = &m->region[i];

		r->sample = r->gfn + random_below(m, r->frames);
		r->sampled = !slot_settle(me, r->sample, PG_LEVEL_4K, sample_slot, g);
	}
}

void ept_monitor_count(struct ept_monitor *m, const struct ept *ept)
{
	for (unsigned int i = 0; i < m->n; i++) {
		struct ept_region *r = &m->region[i];

		if (r->sampled)
			r->hits += ept_lookup(ept, r->sample).accessed;
	}
	m->intervals++;
}

unsigned int ept_touched(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
			 struct ept_gather *g)
{
	unsigned int n = 0;

	for (; budget && *next < end; budget--) {
		struct ept_state s = ept_lookup(me->ept, *next);
		uint64_t frames = fmt_frames(me->ept->fmt, s.level);

		if (s.kind == EPT_PRESENT && s.accessed)
			n += !slot_settle(me, *next, PG_LEVEL_4K, sample_slot, g);
		*next = ALIGN_DOWN(*next, frames) + frames;
	}
	return n;
}

/* --- adapting ----------------------------------------------------------------------------- */

static unsigned int distance(unsigned int a, unsigned int b)
{
	return a > b ? a - b : b - a;
}

/* Heats that differ by less are alike: a tenth of the intervals. */
static unsigned int alike(const struct ept_monitor *m)
{
	return MAX(m->intervals / 10, 1u);
}

static void settle(struct ept_monitor *m)
{
	for (unsigned int i = 0; i < m->n; i++) {
		struct ept_region *r = &m->region[i];

		r->age = distance(r->hits, r->heat) <= alike(m) ? r->age + 1 : 0;
		r->heat = r->hits;
		r->hits = 0;
		r->sampled = false;
	}
}

/* A region and the one after it become one; heat and age by size. */
static void absorb(struct ept_monitor *m, unsigned int i)
{
	struct ept_region *a = &m->region[i], *b = &m->region[i + 1];
	uint64_t frames = a->frames + b->frames;

	a->heat = (unsigned int)((a->heat * a->frames + b->heat * b->frames) / frames);
	a->age = (unsigned int)((a->age * a->frames + b->age * b->frames) / frames);
	a->frames = frames;
	m->n--;
	for (unsigned int j = i + 1; j < m->n; j++)
		m->region[j] = m->region[j + 1];
}

static uint64_t watched(const struct ept_monitor *m)
{
	const struct ept_region *last = &m->region[m->n - 1];

	return last->gfn + last->frames - m->region[0].gfn;
}

/* No region becomes larger than one of the fewest: one page cannot stand for everything, however
 * alike it looks. */
static void merge_alike(struct ept_monitor *m)
{
	uint64_t most = watched(m) / m->min;

	for (unsigned int i = 0; i + 1 < m->n && m->n > m->min;) {
		const struct ept_region *a = &m->region[i], *b = a + 1;

		if (a->frames + b->frames <= most && distance(a->heat, b->heat) <= alike(m))
			absorb(m, i);
		else
			i++;
	}
}

/* Somewhere between a tenth and nine tenths, so that the next division falls elsewhere. */
static void divide(struct ept_monitor *m, unsigned int i)
{
	struct ept_region *r = &m->region[i];
	uint64_t first = r->frames * (1 + random_below(m, 9)) / 10;

	first = MAX(first, UINT64_C(1));
	for (unsigned int j = m->n; j > i + 1; j--)
		m->region[j] = m->region[j - 1];
	m->region[i + 1] = *r;
	m->region[i + 1].gfn += first;
	m->region[i + 1].frames -= first;
	r->frames = first;
	m->n++;
}

static void divide_all(struct ept_monitor *m)
{
	unsigned int n = m->n;

	/* From the end, so that the numbers of those still to come stay. */
	for (unsigned int i = n; i-- > 0 && m->n < m->max;)
		if (m->region[i].frames > 1)
			divide(m, i);
}

void ept_monitor_adapt(struct ept_monitor *m)
{
	settle(m);
	merge_alike(m);
	divide_all(m);
	m->intervals = 0;
}

unsigned int ept_monitor_hottest(const struct ept_monitor *m, unsigned int least,
				 uint8_t order[EPT_REGIONS_MAX])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < m->n; i++) {
		unsigned int at = n;

		if (m->region[i].heat < least)
			continue;
		for (; at > 0 && m->region[order[at - 1]].heat < m->region[i].heat; at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)i;
		n++;
	}
	return n;
}
