/* SPDX-License-Identifier: MIT */
/* Reverse lookup. See ept/rmap.h. */
#include "ept/rmap.h"

#include "ept/tree/limits.h"

/* The owner word of a page's own frame is its gfn, and this bit. 0 is nobody. */
#define OWNER_KNOWN (UINT64_C(1) << 63)

void ept_rmap_init(struct ept_rmap *rmap, struct frame_pool *pool)
{
	*rmap = (struct ept_rmap){ .pool = pool };
}

static uint64_t block_bytes(unsigned int order)
{
	return PAGE_SIZE << order;
}

/* Are all of these frames in the pool? Others have no descriptor. */
static bool in_pool(const struct frame_pool *pool, hpa_t first, uint64_t frames)
{
	uint64_t index = (first.v >> PAGE_SHIFT) - pool->base_pfn;

	return index < pool->nframes && frames <= pool->nframes - index;
}

/* The number of this address space, from 1; 0: there is no room. */
static unsigned int space_of(struct ept_rmap *rmap, struct ept *ept)
{
	unsigned int free = 0;

	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++) {
		if (rmap->space[i] == ept)
			return i + 1;
		if (!rmap->space[i] && !free)
			free = i + 1;
	}
	if (free)
		rmap->space[free - 1] = ept;
	return free;
}

int ept_rmap_add(struct ept_rmap *rmap, struct ept_extent *extent)
{
	uint64_t bytes, block;
	int err = 0;

	if (!gfn_range_ok(extent->ept, extent->gfn, extent->frames) ||
	    !backing_ok(extent->ept, extent->backing, extent->frames) ||
	    !in_pool(rmap->pool, extent->backing, extent->frames) || extent->order >= FRAME_ORDERS)
		return EPT_INVALID;
	bytes = extent->frames << PAGE_SHIFT;
	block = block_bytes(extent->order);
	if (!IS_ALIGNED(extent->backing.v | bytes, block))
		return EPT_INVALID;
	spin_lock(&rmap->lock);
	if (space_of(rmap, extent->ept)) {
		extent->next = rmap->first;
		rmap->first = extent;
	} else {
		err = EPT_FULL;
	}
	for (uint64_t at = 0; !err && at < bytes; at += block)
		atomic_fetch_add(&frame_of(rmap->pool, hpa(extent->backing.v + at))->refs, 1);
	spin_unlock(&rmap->lock);
	return err;
}

/* Does any extent belong to this address space? */
static bool space_used(const struct ept_rmap *rmap, const struct ept *ept)
{
	for (const struct ept_extent *e = rmap->first; e; e = e->next)
		if (e->ept == ept)
			return true;
	return false;
}

static void unlink_extent(struct ept_rmap *rmap, struct ept_extent *extent)
{
	struct ept_extent **at = &rmap->first;

	while (*at && *at != extent)
		at = &(*at)->next;
	if (*at)
		*at = extent->next;
	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++)
		if (rmap->space[i] == extent->ept && !space_used(rmap, extent->ept))
			rmap->space[i] = NULL;
}

void ept_rmap_remove(struct ept_rmap *rmap, struct ept_extent *extent,
		     void (*unused)(void *ctx, hpa_t block, unsigned int order), void *ctx)
{
	uint64_t bytes = extent->frames << PAGE_SHIFT, block = block_bytes(extent->order);

	spin_lock(&rmap->lock);
	unlink_extent(rmap, extent);
	spin_unlock(&rmap->lock);
	for (uint64_t at = 0; at < bytes; at += block) {
		hpa_t head = hpa(extent->backing.v + at);

		if (atomic_fetch_add(&frame_of(rmap->pool, head)->refs, -1u) == 1)
			unused(ctx, head, extent->order);
	}
}

void ept_rmap_own(struct ept_rmap *rmap, hpa_t frame, gfn_t gfn)
{
	if (in_pool(rmap->pool, frame, 1))
		atomic_store(&frame_of(rmap->pool, frame)->owner, OWNER_KNOWN | gfn);
}

/* --- looking ------------------------------------------------------------------------------ */

/* Does the entry that covers gfn map this frame there? */
static bool maps(struct ept *ept, gfn_t gfn, hpa_t frame, struct ept_mapping *m)
{
	struct ept_state s = ept_lookup(ept, gfn);
	uint64_t inside = gfn & (fmt_frames(ept->fmt, s.level) - 1);

	*m = (struct ept_mapping){ .ept = ept, .gfn = gfn, .state = s };
	return s.kind != EPT_NONE && s.frame.v + (inside << PAGE_SHIFT) == frame.v;
}

static bool extent_covers(const struct ept_extent *e, hpa_t frame)
{
	return frame.v - e->backing.v < e->frames << PAGE_SHIFT;
}

static unsigned int find_owners(struct ept_rmap *rmap, hpa_t frame,
				void (*visit)(void *ctx, const struct ept_mapping *m), void *ctx)
{
	uint64_t owner = 0;
	unsigned int n = 0;

	if (in_pool(rmap->pool, frame, 1))
		owner = atomic_load(&frame_of(rmap->pool, frame)->owner);

	for (unsigned int i = 0; owner & OWNER_KNOWN && i < EPT_SPACES_MAX; i++) {
		struct ept_mapping m;

		if (!rmap->space[i] || !maps(rmap->space[i], owner & ~OWNER_KNOWN, frame, &m))
			continue;
		visit(ctx, &m);
		n++;
	}
	return n;
}

unsigned int ept_rmap_find(struct ept_rmap *rmap, hpa_t frame,
			   void (*visit)(void *ctx, const struct ept_mapping *m), void *ctx)
{
	struct ept_mapping m;
	unsigned int n = 0;
	bool in_extent = false;

	spin_lock(&rmap->lock);
	for (struct ept_extent *e = rmap->first; e; e = e->next) {
		if (!extent_covers(e, frame))
			continue;
		in_extent = true;
		if (maps(e->ept, e->gfn + ((frame.v - e->backing.v) >> PAGE_SHIFT), frame, &m)) {
			visit(ctx, &m);
			n++;
		}
	}
	if (!in_extent)
		n = find_owners(rmap, frame, visit, ctx);
	spin_unlock(&rmap->lock);
	return n;
}

/* Entries of one extent that map something of [from, to). */
static uint64_t count_extent(const struct ept_extent *e, uint64_t from, uint64_t to)
{
	const struct ept_format *fmt = e->ept->fmt;
	gfn_t at = e->gfn + ((from - e->backing.v) >> PAGE_SHIFT);
	gfn_t end = e->gfn + ((to - e->backing.v) >> PAGE_SHIFT);
	uint64_t n = 0;

	while (at < end) {
		hpa_t frame = hpa(e->backing.v + ((at - e->gfn) << PAGE_SHIFT));
		struct ept_mapping m;

		n += maps(e->ept, at, frame, &m);
		at = fmt_base(fmt, at, m.state.level) + fmt_frames(fmt, m.state.level);
	}
	return n;
}

uint64_t ept_rmap_count(struct ept_rmap *rmap, hpa_t block, unsigned int order)
{
	uint64_t end, n = 0;

	if (order >= FRAME_ORDERS || !in_pool(rmap->pool, block, UINT64_C(1) << order))
		return 0;
	end = block.v + block_bytes(order);
	spin_lock(&rmap->lock);
	for (const struct ept_extent *e = rmap->first; e; e = e->next) {
		uint64_t last = e->backing.v + (e->frames << PAGE_SHIFT);

		if (MAX(block.v, e->backing.v) < MIN(end, last))
			n += count_extent(e, MAX(block.v, e->backing.v), MIN(end, last));
	}
	spin_unlock(&rmap->lock);
	return n;
}

uint32_t ept_rmap_refs(const struct ept_rmap *rmap, hpa_t block)
{
	return in_pool(rmap->pool, block, 1) ? atomic_load(&frame_of(rmap->pool, block)->refs) : 0;
}
