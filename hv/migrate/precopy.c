/* SPDX-License-Identifier: MIT */
/* Pre-copy. See hv/migrate/precopy.h. */
#include "hv/migrate/precopy.h"

#include "hv/mem/memory.h"
#include "mm/err.h"
#include "mm/machine.h"

#define STEP   16   /* pages between two turns of the vCPUs */
#define BUDGET 4096 /* entries that are marked between two turns */
#define FEW    64   /* dirty pages for which another round is not worth it */

static const char *begin(struct precopy *p, const struct run_config *config)
{
	uint64_t frames = p->from->mem.frames;
	int err;

	if (bitmap_make(&p->staged, frames) || bitmap_make(&p->dirty, frames))
		return "no memory for the bitmaps of the pre-copy";
	err = dirty_begin(&p->log, p->from, dirty_how_of(config->log));
	if (err)
		return err == -ENODEV ? "this CPU has no such dirty log: use log=auto"
				      : "no memory for the dirty log";
	p->logging = true;
	return NULL;
}

static const char *mark(struct precopy *p, const char *(*turn)(void *ctx), void *ctx)
{
	const char *why = NULL;
	int done;

	while (!why && !(done = dirty_step(&p->log, BUDGET)))
		why = turn(ctx);
	return why ? why : done < 0 ? "no table pages for the dirty log" : NULL;
}

/* The destination's frame for a page, whose entry is absent there. */
static void *frame_at(struct precopy *p, gfn_t gfn)
{
	return direct(backing_frame(&p->to->mem.backing, gfn));
}

static void stage(struct precopy *p, gfn_t gfn)
{
	const void *page = mem_page(&p->from->mem, gfn);

	if (!page)
		return;
	__builtin_memcpy(frame_at(p, gfn), page, PAGE_SIZE);
	bitmap_set(&p->staged, gfn);
	p->copied++;
}

/* The next page to copy in this round: any that is present in the first, any dirty one later. */
static gfn_t next_page(struct precopy *p, gfn_t gfn)
{
	if (p->rounds)
		return bitmap_next(&p->dirty, gfn);
	while (gfn < p->from->mem.frames) {
		struct ept_state s = ept_lookup(&p->from->mem.ept, gfn);

		if (s.kind == EPT_PRESENT)
			return gfn;
		gfn = state_end(&s, gfn);
	}
	return gfn;
}

static const char *copy_round(struct precopy *p, const char *(*turn)(void *ctx), void *ctx)
{
	const char *why = NULL;
	unsigned int n = 0;

	for (gfn_t gfn = next_page(p, 0); !why && gfn < p->from->mem.frames;
	     gfn = next_page(p, gfn + 1)) {
		stage(p, gfn);
		if (++n % STEP == 0)
			why = turn(ctx);
	}
	p->rounds++;
	return why;
}

/* Collects what was written since the last time. A later write is in the next collection. */
static uint64_t collect(struct precopy *p)
{
	__builtin_memset(p->dirty.word, 0, (p->dirty.frames + 63) / 64 * sizeof(uint64_t));
	return dirty_collect(&p->log, p->dirty.word);
}

const char *precopy_run(struct precopy *p, struct vm *from, struct vm *to,
			const struct run_config *config, const char *(*turn)(void *ctx), void *ctx)
{
	uint64_t before = UINT64_MAX, dirty = UINT64_MAX - 1;
	const char *why;

	*p = (struct precopy){ .from = from, .to = to };
	if (!config->precopy)
		return NULL;
	why = begin(p, config);
	if (!why)
		why = mark(p, turn, ctx);
	/* Another round helps only while each has less to do. */
	while (!why && p->rounds < config->precopy && dirty > FEW && dirty < before) {
		before = dirty;
		dirty = collect(p);
		why = copy_round(p, turn, ctx);
	}
	return why;
}

/* Zeroes the frame: zeros that arrive in large pieces rely on zeroed frames. */
static void unstage(struct precopy *p, gfn_t gfn)
{
	if (!bitmap_test(&p->staged, gfn))
		return;
	bitmap_clear(&p->staged, gfn);
	__builtin_memset(frame_at(p, gfn), 0, PAGE_SIZE);
}

void precopy_stop(struct precopy *p)
{
	if (!p->logging)
		return;
	p->at_stop = collect(p);
	for (gfn_t gfn = bitmap_next(&p->dirty, 0); gfn < p->dirty.frames;
	     gfn = bitmap_next(&p->dirty, gfn + 1))
		unstage(p, gfn);
	dirty_end(&p->log, NULL);
	p->logging = false;
}

/* A discard is logged once, perhaps in a round long ago; a loss never. */
void precopy_settle(struct precopy *p)
{
	for (gfn_t gfn = bitmap_next(&p->staged, 0); gfn < p->staged.frames;
	     gfn = bitmap_next(&p->staged, gfn + 1))
		if (!mem_page(&p->from->mem, gfn))
			unstage(p, gfn);
}

void precopy_end(struct precopy *p)
{
	if (p->logging)
		dirty_end(&p->log, NULL);
	p->logging = false;
	bitmap_free(&p->staged);
	bitmap_free(&p->dirty);
}
