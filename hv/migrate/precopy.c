/* SPDX-License-Identifier: MIT */
/* Pre-copy. See hv/migrate/precopy.h. */
#include "hv/migrate/precopy.h"

#define STEP 16 /* pages between two turns of the vCPUs */

static const char *begin(struct precopy *p, struct vm *from, struct vm *to,
			 const struct run_config *config)
{
	if (staging_begin(&p->staging, &to->mem))
		return "no memory for the bitmap of what is staged";
	return rounds_begin(&p->rounds, from, config);
}

static const char *mark(struct precopy *p, const char *(*turn)(void *ctx), void *ctx)
{
	const char *why = rounds_mark(&p->rounds);

	while (!why && !p->rounds.marked) {
		why = turn(ctx);
		if (!why)
			why = rounds_mark(&p->rounds);
	}
	return why;
}

static const char *copy_round(struct precopy *p, const char *(*turn)(void *ctx), void *ctx)
{
	const struct bitmap *map = &p->rounds.map;
	const char *why = NULL;
	unsigned int n = 0;

	for (gfn_t gfn = bitmap_next(map, 0); !why && gfn < map->frames;
	     gfn = bitmap_next(map, gfn + 1)) {
		const void *page = mem_page(&p->rounds.from->mem, gfn);

		if (page)
			stage(&p->staging, gfn, page);
		if (++n % STEP == 0)
			why = turn(ctx);
	}
	return why;
}

const char *precopy_run(struct precopy *p, struct vm *from, struct vm *to,
			const struct run_config *config, const char *(*turn)(void *ctx), void *ctx)
{
	const char *why;

	*p = (struct precopy){ 0 };
	if (!config->precopy)
		return NULL;
	why = begin(p, from, to, config);
	if (!why)
		why = mark(p, turn, ctx);
	while (!why && !(p->rounds.n && rounds_enough(&p->rounds))) {
		rounds_next(&p->rounds, !p->rounds.n);
		why = copy_round(p, turn, ctx);
	}
	return why;
}

void precopy_stop(struct precopy *p)
{
	const struct bitmap *map = &p->rounds.map;

	if (!p->rounds.logging || !p->rounds.marked)
		return;
	rounds_last(&p->rounds);
	p->at_stop = p->rounds.written;
	for (gfn_t gfn = bitmap_next(map, 0); gfn < map->frames; gfn = bitmap_next(map, gfn + 1))
		unstage(&p->staging, gfn);
	rounds_end(&p->rounds);
}

/* A discard is logged once, perhaps in a round long ago; a loss never. */
void precopy_settle(struct precopy *p)
{
	const struct bitmap *staged = &p->staging.staged;

	for (gfn_t gfn = bitmap_next(staged, 0); gfn < staged->frames;
	     gfn = bitmap_next(staged, gfn + 1))
		if (!mem_page(&p->rounds.from->mem, gfn))
			unstage(&p->staging, gfn);
}

void precopy_end(struct precopy *p)
{
	rounds_end(&p->rounds);
	staging_end(&p->staging);
}
