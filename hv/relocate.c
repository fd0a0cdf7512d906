/* SPDX-License-Identifier: MIT */
/* Memory that moves under load. See hv/relocate.h. */
#include "hv/relocate.h"

#include "ept/range.h"
#include "ept/relocate.h"
#include "hv/dirty.h"
#include "hv/frames.h"
#include "hv/panic.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

static struct ept_cpu *me(struct vm *vm)
{
	return ept_cpu(&vm->ept, cpu_id());
}

static struct ept_gather *gather(struct vm *vm)
{
	return &vm->gather[cpu_id()];
}

static unsigned int level_order(enum pg_level level)
{
	return 9 * (level - 1u);
}

/* Another VM writes to the same memory: it would go on with the old frames. A private page's frame
 * only has readers, who may keep it. */
static bool written_elsewhere(const struct vm *vm)
{
	return vm->memory_of || vm->sharers;
}

/* Page by page: of a size that the compiler knows it copies words, not bytes. */
static void copy_frames(hpa_t to, hpa_t from, enum pg_level level)
{
	for (uint64_t at = 0; at < level_frames(level) << PAGE_SHIFT; at += PAGE_SIZE)
		__builtin_memcpy(direct(hpa(to.v + at)), direct(hpa(from.v + at)), PAGE_SIZE);
}

/* --- one piece ---------------------------------------------------------------------------- */

static int adopt(struct vm *vm, gfn_t gfn, enum pg_level level, hpa_t block)
{
	if (level == PG_LEVEL_4K) {
		frames_adopt(vm, block, gfn);
		return 0;
	}
	return backing_add(&vm->backing, &vm->ept, gfn, block, level);
}

/* The frozen piece is copied and thawed on the new frames, or stays where it was. */
static int change_frames(struct vm *vm, const struct ept_frozen *f, hpa_t to)
{
	enum pg_level level = f->was.level;
	int err = -EBUSY;

	if (!atomic_load(&vm->cloning))
		err = adopt(vm, f->gfn, level, to);
	if (err) {
		(void)ept_thaw(me(vm), f, f->was.frame);
		return err;
	}
	copy_frames(to, f->was.frame, level);
	(void)ept_thaw(me(vm), f, to);
	frames_drop(vm, f->was.frame);
	backing_leave(&vm->backing, f->gfn, level_frames(level), to);
	return 0;
}

int vm_relocate(struct vm *vm, gfn_t gfn, enum pg_level level, hpa_t to)
{
	struct ept_state s = ept_lookup(&vm->ept, gfn);
	uint64_t inside = (gfn & (level_frames(s.level) - 1)) << PAGE_SHIFT;
	struct ept_frozen f;
	int err;

	if (level > PG_LEVEL_2M || written_elsewhere(vm) || !IS_ALIGNED(gfn, level_frames(level)) ||
	    !IS_ALIGNED(to.v, level_frames(level) << PAGE_SHIFT))
		return -EINVAL;
	if (s.kind == EPT_PRESENT && s.level >= level && s.frame.v + inside == to.v)
		return 0;
	if (atomic_load(&vm->cloning))
		return -EBUSY;
	err = ept_freeze(me(vm), gfn, level, EPT_WHY_COW, &f, gather(vm));
	ept_sync(gather(vm));
	return err ? err : change_frames(vm, &f, to);
}

/* --- a whole range ------------------------------------------------------------------------ */

/* Why the range could not become one leaf even on one block. */
static int fits_together(const struct vm *vm, gfn_t gfn, enum pg_level level)
{
	struct ept_state first = ept_lookup(&vm->ept, gfn);

	for (gfn_t at = gfn; at < gfn + level_frames(level);) {
		struct ept_state s = ept_lookup(&vm->ept, at);

		if (s.kind == EPT_FROZEN || s.kind == EPT_FILLING)
			return EPT_BUSY;
		if (s.kind == EPT_POISON)
			return EPT_LOST;
		if (s.kind != EPT_PRESENT)
			return EPT_HOLE;
		if (s.perms != first.perms || s.memtype != first.memtype || s.tracked)
			return EPT_MIXED;
		at = ALIGN_DOWN(at, level_frames(s.level)) + level_frames(s.level);
	}
	return 0;
}

/* Where the piece at `at` goes, of a range that goes to the block. */
static hpa_t place_in(hpa_t block, gfn_t gfn, gfn_t at)
{
	return hpa(block.v + ((at - gfn) << PAGE_SHIFT));
}

/* Freezes pieces from *next on, as many as may be for one flush. What is in its place already is
 * left alone. */
static int freeze_some(struct vm *vm, gfn_t gfn, gfn_t *next, gfn_t end, hpa_t block,
		       struct ept_frozen *f, unsigned int *n)
{
	*n = 0;
	while (*next < end && *n < EPT_FROZEN_MAX) {
		struct ept_state s = ept_lookup(&vm->ept, *next);
		int err;

		if (s.kind != EPT_PRESENT || s.cow || s.frame.v != place_in(block, gfn, *next).v) {
			err = ept_freeze(me(vm), *next, s.level, EPT_WHY_COW, &f[*n], gather(vm));
			if (err)
				return err;
			(*n)++;
		}
		*next += level_frames(s.level);
	}
	return 0;
}

/* The frozen piece goes to its place in the block. */
static int copy_piece(struct vm *vm, const struct ept_frozen *f, hpa_t to)
{
	if (atomic_load(&vm->cloning)) {
		(void)ept_thaw(me(vm), f, f->was.frame);
		return -EBUSY;
	}
	if (f->was.frame.v == to.v && frames_sole(vm, f->gfn, to)) {
		(void)ept_thaw_owned(me(vm), f);
		return 0;
	}
	if (f->was.frame.v != to.v)
		copy_frames(to, f->was.frame, f->was.level);
	(void)ept_thaw(me(vm), f, to);
	if (f->was.frame.v != to.v)
		frames_drop(vm, f->was.frame);
	return 0;
}

/* All pieces of the range go to the block. */
static int copy_range(struct vm *vm, gfn_t gfn, enum pg_level level, hpa_t block)
{
	struct ept_frozen f[EPT_FROZEN_MAX];
	gfn_t next = gfn, end = gfn + level_frames(level);
	int err = 0;

	while (!err && next < end) {
		unsigned int n;

		err = freeze_some(vm, gfn, &next, end, block, f, &n);
		ept_sync(gather(vm));
		for (unsigned int i = 0; i < n; i++) {
			int left = copy_piece(vm, &f[i], place_in(block, gfn, f[i].gfn));

			err = err ? err : left;
		}
		vm_pass(vm);
	}
	return err == EPT_NOT_HERE ? EPT_HOLE : err;
}

/* Frames for the whole range: its own, where it has such, or a fresh block. */
static hpa_t whole_block(struct vm *vm, gfn_t gfn, enum pg_level level)
{
	hpa_t block = backing_whole(&vm->backing, gfn, level);

	if (block.v != HPA_NONE.v)
		return block;
	block = frame_alloc(&machine_frames, level_order(level));
	if (block.v == HPA_NONE.v || !backing_add(&vm->backing, &vm->ept, gfn, block, level))
		return block;
	if (frame_free(&machine_frames, block, level_order(level)))
		panic("a block was not ours to free");
	return HPA_NONE;
}

static int collapse_to(struct vm *vm, gfn_t gfn, enum pg_level level, hpa_t block)
{
	int n = copy_range(vm, gfn, level, block);

	if (n)
		return n;
	n = ept_collapse(me(vm), gfn, level, gather(vm));
	ept_sync(gather(vm));
	backing_leave(&vm->backing, gfn, level_frames(level), block);
	return n;
}

int vm_collapse_copy(struct vm *vm, gfn_t gfn, enum pg_level level)
{
	hpa_t block;
	int n;

	if (level < PG_LEVEL_2M || level > vm->ept.leaf_max || written_elsewhere(vm) ||
	    !IS_ALIGNED(gfn, level_frames(level)) || gfn >= vm->pager.frames)
		return -EINVAL;
	n = ept_collapse(me(vm), gfn, level, gather(vm));
	ept_sync(gather(vm));
	if (n != EPT_SCATTERED && n != EPT_MIXED)
		return n;
	n = fits_together(vm, gfn, level);
	if (n)
		return n;
	block = whole_block(vm, gfn, level);
	return block.v == HPA_NONE.v ? -ENOMEM : collapse_to(vm, gfn, level, block);
}

void vm_allow_leaves(struct vm *vm, enum pg_level level)
{
	vm->ept.leaf_max = MAX(vm->ept.leaf_max, MIN(level, vendor->leaf_max()));
}

/* --- other guest addresses ---------------------------------------------------------------- */

int vm_move(struct vm *vm, gfn_t from, gfn_t to, uint64_t frames)
{
	int err = backing_alias(&vm->backing, &vm->ept, from, to, frames);

	if (err)
		return err == -EINVAL ? err : -ENOMEM;
	while ((err = ept_move(me(vm), from, to, frames, gather(vm))) == -EBUSY) {
		ept_sync(gather(vm));
		vm_pass(vm);
	}
	ept_sync(gather(vm));
	if (err)
		return err;
	frames_readdress(vm, to, frames);
	dirty_note(vm, to, frames);
	vm->pager.frames = MAX(vm->pager.frames, to + frames);
	return 0;
}
