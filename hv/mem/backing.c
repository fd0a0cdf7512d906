/* SPDX-License-Identifier: MIT */
/* Taking, sharing and giving back the host frames behind a guest's memory. */
#include "hv/mem/backing.h"

#include "hv/base/panic.h"
#include "hv/mem/copy.h"
#include "mm/err.h"
#include "mm/machine.h"

/* An extent without frames is free; one without an address space is not registered yet. */
struct backing_page {
	struct backing_page *next;
	struct ept_extent extent[(PAGE_SIZE - sizeof(void *)) / sizeof(struct ept_extent)];
};

_Static_assert(sizeof(struct backing_page) <= PAGE_SIZE, "one frame each");

struct ept_rmap machine_rmap;
struct spinlock backing_lock;

#define EACH_EXTENT(b, p, e)                                                                       \
	for (struct backing_page *p = (b)->pages; p; p = p->next)                                  \
		for (struct ept_extent *e = p->extent; e < p->extent + ARRAY_LEN(p->extent); e++)  \
			if (e->frames)

static void block_free(void *ctx, hpa_t block, unsigned int order)
{
	(void)ctx;
	if (frame_free(&machine_frames, block, order))
		panic("backing frames were not ours to free");
}

void backing_init(void)
{
	ept_rmap_init(&machine_rmap, &machine_frames);
}

/* --- extents ------------------------------------------------------------------------------ */

static struct ept_extent *free_extent(struct backing *b)
{
	struct backing_page *p;
	hpa_t page;

	for (p = b->pages; p; p = p->next)
		for (unsigned int i = 0; i < ARRAY_LEN(p->extent); i++)
			if (!p->extent[i].frames)
				return &p->extent[i];
	page = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	if (page.v == HPA_NONE.v)
		return NULL;
	p = direct(page);
	__builtin_memset(p, 0, sizeof(*p));
	p->next = b->pages;
	b->pages = p;
	return p->extent;
}

static hpa_t extent_frame(const struct ept_extent *e, gfn_t gfn)
{
	return hpa(e->backing.v + ((gfn - e->gfn) << PAGE_SHIFT));
}

static bool extent_has(const struct ept_extent *e, gfn_t gfn)
{
	return gfn - e->gfn < e->frames;
}

/* Adds an extent to a backing that is registered already. */
static int put_registered(struct backing *b, const struct ept_extent *what)
{
	struct ept_extent *e;
	int err;

	if (!what->frames)
		return 0;
	e = free_extent(b);
	if (!e)
		return -ENOMEM;
	*e = *what;
	err = ept_rmap_add(&machine_rmap, e);
	if (err)
		*e = (struct ept_extent){ 0 };
	return err;
}

/* An alias owns no blocks: the extents that took them count them. */
static void not_a_block(void *ctx, hpa_t block, unsigned int order)
{
	(void)ctx;
	(void)block;
	(void)order;
}

static bool is_alias(const struct backing *b, const struct ept_extent *e)
{
	return e->order == FRAME_ORDER_4K && b->level > PG_LEVEL_4K;
}

static void drop(const struct backing *b, struct ept_extent *e)
{
	if (e->ept)
		ept_rmap_remove(&machine_rmap, e, is_alias(b, e) ? not_a_block : block_free, NULL);
	else
		for (uint64_t at = 0; at < e->frames << PAGE_SHIFT; at += PAGE_SIZE << e->order)
			block_free(NULL, hpa(e->backing.v + at), e->order);
	*e = (struct ept_extent){ 0 };
}

/* --- taking and giving -------------------------------------------------------------------- */

/* Adds a block at the end; it may continue the last extent. */
static struct ept_extent *append(struct backing *b, struct ept_extent *last, gfn_t gfn, hpa_t block)
{
	uint64_t size = level_frames(b->level);

	if (last && extent_frame(last, gfn).v == block.v) {
		last->frames += size;
		return last;
	}
	last = free_extent(b);
	if (last)
		*last = (struct ept_extent){
			.gfn = gfn,
			.frames = size,
			.backing = block,
			.order = level_order(b->level),
		};
	return last;
}

static void forget(struct backing *b)
{
	while (b->pages) {
		struct backing_page *p = b->pages;

		b->pages = p->next;
		block_free(NULL, direct_hpa(p), FRAME_ORDER_4K);
	}
}

/* Nobody has written to the blocks yet. */
static void give_unused(struct backing *b)
{
	int err = 0;

	EACH_EXTENT(b, p, e)
	{
		for (uint64_t at = 0; at < e->frames << PAGE_SHIFT; at += PAGE_SIZE << e->order)
			err |= frame_free_unused(&machine_frames, hpa(e->backing.v + at), e->order);
		*e = (struct ept_extent){ 0 };
	}
	if (err)
		panic("backing frames were not ours to free");
	forget(b);
}

int backing_take(struct backing *b, enum pg_level level, uint64_t frames)
{
	struct ept_extent *last = NULL;

	*b = (struct backing){ .level = level };
	for (gfn_t gfn = 0; gfn < frames; gfn += level_frames(level)) {
		hpa_t block = frame_alloc(&machine_frames, level_order(level));

		if (block.v == HPA_NONE.v)
			goto nomem;
		last = append(b, last, gfn, block);
		if (!last) {
			block_free(NULL, block, level_order(level));
			goto nomem;
		}
	}
	return 0;
nomem:
	give_unused(b);
	return -ENOMEM;
}

uint64_t backing_zero(const struct backing *b, gfn_t gfn, uint64_t frames)
{
	EACH_EXTENT(b, p, e)
	if (extent_has(e, gfn)) {
		frames = MIN(frames, e->gfn + e->frames - gfn);
		__builtin_memset(direct(extent_frame(e, gfn)), 0, frames << PAGE_SHIFT);
		return frames;
	}
	return 0;
}

void backing_give(struct backing *b)
{
	spin_lock(&backing_lock);
	/* Drop aliases first: they need the blocks that they point into. */
	EACH_EXTENT(b, p, e)
	if (is_alias(b, e))
		drop(b, e);
	EACH_EXTENT(b, q, f)
	drop(b, f);
	forget(b);
	spin_unlock(&backing_lock);
}

int backing_map(const struct backing *b, struct ept_cpu *me)
{
	EACH_EXTENT(b, p, e)
	{
		int err = ept_map(me, e->gfn, e->frames, e->backing, EPT_RWX, EPT_WB, EPT_ABSENT);

		if (err)
			return err;
	}
	return 0;
}

int backing_register(struct backing *b, struct ept *ept)
{
	int err = 0;

	spin_lock(&backing_lock);
	EACH_EXTENT(b, p, e)
	{
		e->ept = ept;
		err = ept_rmap_add(&machine_rmap, e);
		if (err) {
			e->ept = NULL;
			break;
		}
	}
	spin_unlock(&backing_lock);
	return err;
}

int backing_share(struct backing *b, const struct backing *from)
{
	int err = 0;

	*b = (struct backing){ .level = from->level, .moved = from->moved };
	spin_lock(&backing_lock);
	EACH_EXTENT(from, p, e)
	{
		struct ept_extent *copy = free_extent(b);

		if (!copy) {
			err = -ENOMEM;
			break;
		}
		*copy = *e;
		copy->ept = NULL;
		copy->next = NULL;
	}
	spin_unlock(&backing_lock);
	if (err)
		forget(b);
	return err;
}

/* --- changing ----------------------------------------------------------------------------- */

int backing_add(struct backing *b, struct ept *ept, gfn_t gfn, hpa_t block, enum pg_level level)
{
	const struct ept_extent e = {
		.ept = ept,
		.gfn = gfn,
		.frames = level_frames(level),
		.backing = block,
		.order = level_order(level),
	};
	int err;

	spin_lock(&backing_lock);
	err = put_registered(b, &e);
	spin_unlock(&backing_lock);
	return err;
}

/* Does an extent say already that gfn is backed by the frames at `at`? */
static bool known(const struct backing *b, gfn_t gfn, uint64_t frames, hpa_t at)
{
	EACH_EXTENT(b, p, e)
	if (extent_has(e, gfn) && extent_has(e, gfn + frames - 1) && extent_frame(e, gfn).v == at.v)
		return true;
	return false;
}

int backing_alias(struct backing *b, struct ept *ept, gfn_t from, gfn_t to, uint64_t frames)
{
	int err = 0;

	spin_lock(&backing_lock);
	b->moved = true;
	EACH_EXTENT(b, p, e)
	{
		gfn_t first = MAX(from, e->gfn), end = MIN(from + frames, e->gfn + e->frames);
		struct ept_extent alias = { .ept = ept, .order = FRAME_ORDER_4K };

		if (err || first >= end)
			continue;
		alias.gfn = first - from + to;
		alias.frames = end - first;
		alias.backing = extent_frame(e, first);
		if (!known(b, alias.gfn, alias.frames, alias.backing))
			err = put_registered(b, &alias);
	}
	spin_unlock(&backing_lock);
	return err;
}

/* Replaces the extent by what it has before and behind [first, end). */
static void cut(struct backing *b, struct ept_extent *e, gfn_t first, gfn_t end)
{
	struct ept_extent before = *e, behind = *e, whole = *e;

	before.frames = first - e->gfn;
	behind.gfn = end;
	behind.frames = e->gfn + e->frames - end;
	behind.backing = extent_frame(&whole, end);
	if (put_registered(b, &before))
		return; /* no frame to note it: keeping more loses nothing */
	if (put_registered(b, &behind) == 0)
		drop(b, e);
}

void backing_leave(struct backing *b, gfn_t gfn, uint64_t frames, hpa_t now)
{
	spin_lock(&backing_lock);
	EACH_EXTENT(b, p, e)
	{
		uint64_t block = UINT64_C(1) << e->order;
		gfn_t first = MAX(gfn, e->gfn), end = MIN(gfn + frames, e->gfn + e->frames);

		if (b->moved || first >= end ||
		    extent_frame(e, first).v == now.v + ((first - gfn) << PAGE_SHIFT))
			continue;
		first = e->gfn + ALIGN_UP(first - e->gfn, block);
		end = e->gfn + ALIGN_DOWN(end - e->gfn, block);
		if (first < end)
			cut(b, e, first, end);
	}
	spin_unlock(&backing_lock);
}

/* --- looking ------------------------------------------------------------------------------ */

hpa_t backing_frame(const struct backing *b, gfn_t gfn)
{
	EACH_EXTENT(b, p, e)
	if (extent_has(e, gfn))
		return extent_frame(e, gfn);
	return HPA_NONE;
}

hpa_t backing_head(const struct backing *b, hpa_t frame)
{
	EACH_EXTENT(b, p, e)
	{
		uint64_t inside = frame.v - e->backing.v;

		if (!is_alias(b, e) && inside < e->frames << PAGE_SHIFT)
			return hpa(e->backing.v + ALIGN_DOWN(inside, PAGE_SIZE << e->order));
	}
	return HPA_NONE;
}

hpa_t backing_whole(const struct backing *b, gfn_t gfn, enum pg_level level)
{
	uint64_t size = level_frames(level);
	hpa_t whole = HPA_NONE;

	spin_lock(&backing_lock);
	EACH_EXTENT(b, p, e)
	{
		hpa_t at = extent_frame(e, gfn);

		if (!b->moved && e->order >= level_order(level) && extent_has(e, gfn) &&
		    extent_has(e, gfn + size - 1) && IS_ALIGNED(at.v, size << PAGE_SHIFT) &&
		    ept_rmap_refs(&machine_rmap, backing_head(b, at)) == 1)
			whole = at;
	}
	spin_unlock(&backing_lock);
	return whole;
}
