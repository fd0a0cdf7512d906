/* SPDX-License-Identifier: MIT */
/* Collapse by copying. See hv/mem/collapse_copy.h. */
#include "hv/mem/collapse_copy.h"

#include "ept/relocate.h"
#include "hv/base/panic.h"
#include "hv/mem/copy.h"
#include "hv/mem/family.h"
#include "hv/mem/private.h"
#include "mm/err.h"
#include "mm/machine.h"

/* Why not even one block makes the range one leaf; or 0. */
static int fits_together(const struct memory *mem, gfn_t gfn, enum pg_level level)
{
	struct ept_state first = ept_lookup(&mem->ept, gfn);

	for (gfn_t at = gfn; at < gfn + level_frames(level);) {
		struct ept_state s = ept_lookup(&mem->ept, at);

		if (s.kind == EPT_FROZEN || s.kind == EPT_FILLING)
			return EPT_BUSY;
		if (s.kind == EPT_POISON)
			return EPT_LOST;
		if (s.kind != EPT_PRESENT)
			return EPT_HOLE;
		if (s.perms != first.perms || s.memtype != first.memtype || s.tracked)
			return EPT_MIXED;
		at = state_end(&s, at);
	}
	return 0;
}

/* The place of `at` in the block, which will back the range at gfn. */
static hpa_t place_in(hpa_t block, gfn_t gfn, gfn_t at)
{
	return hpa(block.v + ((at - gfn) << PAGE_SHIFT));
}

/* Freezes pieces from *next on, at most EPT_FROZEN_MAX for one flush. Skips pieces that are in
 * their place already. */
static int freeze_some(struct memory *mem, gfn_t gfn, gfn_t *next, gfn_t end, hpa_t block,
		       struct ept_frozen *f, unsigned int *n)
{
	*n = 0;
	while (*next < end && *n < EPT_FROZEN_MAX) {
		struct ept_state s = ept_lookup(&mem->ept, *next);
		int err;

		if (s.kind != EPT_PRESENT || s.cow || s.frame.v != place_in(block, gfn, *next).v) {
			err = ept_freeze(mem_handle(mem), *next, s.level, EPT_WHY_COW, &f[*n],
					 mem_gather(mem));
			if (err)
				return err;
			(*n)++;
		}
		*next += level_frames(s.level);
	}
	return 0;
}

/* Copies the frozen piece to its place in the block, and thaws it there. */
static int copy_piece(struct memory *mem, const struct ept_frozen *f, hpa_t to)
{
	if (atomic_load(&mem->cloning)) {
		(void)ept_thaw(mem_handle(mem), f, f->was.frame);
		return EPT_BUSY;
	}
	if (f->was.frame.v == to.v && private_sole(mem, f->gfn, to)) {
		(void)ept_thaw_owned(mem_handle(mem), f);
		return 0;
	}
	if (f->was.frame.v != to.v)
		copy_frames(to, f->was.frame, f->was.level);
	(void)ept_thaw(mem_handle(mem), f, to);
	if (f->was.frame.v != to.v)
		private_drop(mem, f->was.frame);
	return 0;
}

/* Copies all pieces of the range to the block. */
static int copy_range(struct memory *mem, gfn_t gfn, enum pg_level level, hpa_t block)
{
	struct ept_frozen f[EPT_FROZEN_MAX];
	gfn_t next = gfn, end = gfn + level_frames(level);
	int err = 0;

	while (!err && next < end) {
		unsigned int n;

		err = freeze_some(mem, gfn, &next, end, block, f, &n);
		ept_sync(mem_gather(mem));
		for (unsigned int i = 0; i < n; i++) {
			int left = copy_piece(mem, &f[i], place_in(block, gfn, f[i].gfn));

			err = err ? err : left;
		}
		mem_pass(mem);
	}
	return err == EPT_NOT_HERE ? EPT_HOLE : err;
}

/* Frames for the whole range: its own if possible, else a fresh block. */
static hpa_t whole_block(struct memory *mem, gfn_t gfn, enum pg_level level)
{
	hpa_t block = backing_whole(&mem->backing, gfn, level);

	if (block.v != HPA_NONE.v)
		return block;
	block = frame_alloc(&machine_frames, level_order(level));
	if (block.v == HPA_NONE.v || !backing_add(&mem->backing, &mem->ept, gfn, block, level))
		return block;
	if (frame_free(&machine_frames, block, level_order(level)))
		panic("a block was not ours to free");
	return HPA_NONE;
}

static int collapse_to(struct memory *mem, gfn_t gfn, enum pg_level level, hpa_t block)
{
	int n = copy_range(mem, gfn, level, block);

	if (n)
		return n;
	n = ept_collapse(mem_handle(mem), gfn, level, mem_gather(mem));
	ept_sync(mem_gather(mem));
	backing_leave(&mem->backing, gfn, level_frames(level), block);
	return n;
}

int mem_collapse_copy(struct memory *mem, gfn_t gfn, enum pg_level level)
{
	hpa_t block;
	int n;

	if (level < PG_LEVEL_2M || level > mem->ept.leaf_max || family_writes(mem) ||
	    !IS_ALIGNED(gfn, level_frames(level)) || gfn >= mem->end)
		return -EINVAL;
	n = ept_collapse(mem_handle(mem), gfn, level, mem_gather(mem));
	ept_sync(mem_gather(mem));
	if (n != EPT_SCATTERED && n != EPT_MIXED)
		return n;
	n = fits_together(mem, gfn, level);
	if (n)
		return n;
	block = whole_block(mem, gfn, level);
	return block.v == HPA_NONE.v ? -ENOMEM : collapse_to(mem, gfn, level, block);
}

void mem_allow_leaves(struct memory *mem, enum pg_level level)
{
	mem->ept.leaf_max = MAX(mem->ept.leaf_max, MIN(level, mem->stage2->leaf_max));
}
