/* SPDX-License-Identifier: MIT */
/* Watching what is hot. See hv/mem/watch.h. */
#include "hv/mem/watch.h"

#include "hv/base/clock.h"
#include "mm/err.h"
#include "mm/percpu.h"

int watch_begin(struct watch *w, struct memory *mem, const struct watch_config *config)
{
	*w = (struct watch){ .mem = mem, .config = *config };
	if (!config->every)
		return -EINVAL;
	return ept_monitor_begin(&w->monitor, &mem->ept, config->gfn, config->frames, config->min,
				 config->max, config->seed);
}

static void end_interval(struct watch *w)
{
	ept_monitor_count(&w->monitor, &w->mem->ept);
	w->entries += w->monitor.n;
	w->intervals++;
	w->sampled = false;
	if (w->monitor.intervals == w->config.every) {
		ept_monitor_adapt(&w->monitor);
		w->adapted++;
	}
}

static void begin_interval(struct watch *w)
{
	struct ept_gather *g = mem_gather(w->mem);

	ept_monitor_sample(&w->monitor, mem_handle(w->mem), g);
	w->entries += w->monitor.n;
	w->flushes += g->owed;
	ept_sync(g);
	w->sampled = true;
	w->due = clock_now() + us_to_cycles(w->config.interval_us);
}

void watch_poll(struct watch *w)
{
	if (w->sampled && clock_now() < w->due)
		return;
	if (w->sampled)
		end_interval(w);
	begin_interval(w);
}

/* Region i and its hot neighbours: a range may lie across the edge between them. */
static void hot_around(const struct ept_monitor *m, unsigned int i, unsigned int least, gfn_t *from,
		       gfn_t *end)
{
	unsigned int first = i, last = i;

	while (first > 0 && m->region[first - 1].heat >= least)
		first--;
	while (last + 1 < m->n && m->region[last + 1].heat >= least)
		last++;
	*from = m->region[first].gfn;
	*end = m->region[last].gfn + m->region[last].frames;
}

/* Collapses the ranges of 2 MiB in [from, end) that overlap the region. */
static unsigned int collapse_region(struct watch *w, const struct ept_region *r, gfn_t from,
				    gfn_t end, unsigned int budget)
{
	uint64_t size = level_frames(PG_LEVEL_2M);
	unsigned int n = 0;

	from = MAX(ALIGN_DOWN(r->gfn, size), ALIGN_UP(from, size));
	end = MIN(ALIGN_UP(r->gfn + r->frames, size), ALIGN_DOWN(end, size));
	for (gfn_t at = from; n < budget && at < end; at += size) {
		struct ept_collapse_result result;

		ept_collapse_range(mem_handle(w->mem), at, size, mem_gather(w->mem), &result);
		n += (unsigned int)result.collapsed;
	}
	return n;
}

static unsigned int collapse_hot(struct watch *w, unsigned int i, unsigned int least,
				 unsigned int budget)
{
	gfn_t from, end;

	hot_around(&w->monitor, i, least, &from, &end);
	return collapse_region(w, &w->monitor.region[i], from, end, budget);
}

unsigned int watch_collapse(struct watch *w, unsigned int least, unsigned int budget)
{
	uint8_t order[EPT_REGIONS_MAX];
	unsigned int hot = ept_monitor_hottest(&w->monitor, least, order), n = 0;

	for (unsigned int i = 0; i < hot && n < budget; i++)
		n += collapse_hot(w, order[i], least, budget - n);
	ept_sync(mem_gather(w->mem));
	return n;
}
