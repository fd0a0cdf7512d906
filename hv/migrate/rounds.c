/* SPDX-License-Identifier: MIT */
/* The rounds of pre-copy. See hv/migrate/rounds.h. */
#include "hv/migrate/rounds.h"

#include "hv/base/clock.h"
#include "hv/mem/memory.h"
#include "mm/err.h"

#define BUDGET 4096 /* entries that are marked between two turns of the vCPUs */
#define FEW    64   /* dirty pages for which another round is not worth it */

const char *rounds_begin(struct rounds *r, struct vm *from, const struct run_config *config)
{
	int err;

	*r = (struct rounds){ .from = from, .config = config };
	if (bitmap_make(&r->map, from->mem.frames))
		return "no memory for the bitmap of the pre-copy";
	err = dirty_begin(&r->log, from, dirty_how_of(config->log));
	if (err)
		return err == -ENODEV ? "this CPU has no such dirty log: use log=auto"
				      : "no memory for the dirty log";
	r->logging = true;
	return NULL;
}

const char *rounds_mark(struct rounds *r)
{
	int done = dirty_step(&r->log, BUDGET);

	r->marked = done > 0;
	return done < 0 ? "no table pages for the dirty log" : NULL;
}

/* Collects what was written since the last time. A later write is in the next collection. */
static void collect(struct rounds *r)
{
	r->before = r->n ? r->written : UINT64_MAX;
	__builtin_memset(r->map.word, 0, (r->map.frames + 63) / 64 * sizeof(uint64_t));
	r->written = dirty_collect(&r->log, r->map.word);
}

static void add_all(struct rounds *r)
{
	for (gfn_t gfn = 0, next; gfn < r->map.frames; gfn = next) {
		struct ept_state s = ept_lookup(&r->from->mem.ept, gfn);

		next = MIN(state_end(&s, gfn), r->map.frames);
		for (gfn_t at = gfn; s.kind == EPT_PRESENT && at < next; at++)
			bitmap_set(&r->map, at);
	}
}

void rounds_next(struct rounds *r, bool first)
{
	if (first)
		r->n = 0;
	collect(r);
	if (first)
		add_all(r);
	if (r->n < CONFIG_PRECOPY_MAX)
		r->pages[r->n] = bitmap_count(&r->map);
	r->n++;
	r->begun = clock_now();
}

bool rounds_enough(const struct rounds *r)
{
	uint64_t took = cycles_to_us(clock_now() - r->begun);

	return r->n >= r->config->precopy || r->written <= FEW || r->written >= r->before ||
	       (r->config->downtime_ms && took <= r->config->downtime_ms * UINT64_C(1000));
}

void rounds_last(struct rounds *r)
{
	collect(r);
	r->at_stop = r->written;
}

void rounds_end(struct rounds *r)
{
	if (r->logging)
		dirty_end(&r->log, NULL);
	r->logging = false;
	bitmap_free(&r->map);
}
