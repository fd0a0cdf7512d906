/* SPDX-License-Identifier: MIT */
/* Memory that moves under load. See hv/mem/relocate.h. */
#include "hv/mem/relocate.h"

#include "ept/range.h"
#include "ept/relocate.h"
#include "hv/mem/copy.h"
#include "hv/mem/family.h"
#include "hv/mem/private.h"
#include "mm/err.h"

/* --- one piece ---------------------------------------------------------------------------- */

static int adopt(struct memory *mem, gfn_t gfn, enum pg_level level, hpa_t block)
{
	if (level == PG_LEVEL_4K) {
		private_adopt(mem, block, gfn);
		return 0;
	}
	return backing_add(&mem->backing, &mem->ept, gfn, block, level);
}

/* Copies the frozen piece and thaws it on the new frames; or thaws it where it was. */
static int change_frames(struct memory *mem, const struct ept_frozen *f, hpa_t to)
{
	enum pg_level level = f->was.level;
	int err = EPT_BUSY;

	if (!atomic_load(&mem->cloning))
		err = adopt(mem, f->gfn, level, to);
	if (err) {
		(void)ept_thaw(mem_handle(mem), f, f->was.frame);
		return err;
	}
	copy_frames(to, f->was.frame, level);
	(void)ept_thaw(mem_handle(mem), f, to);
	private_drop(mem, f->was.frame);
	backing_leave(&mem->backing, f->gfn, level_frames(level), to);
	return 0;
}

int mem_relocate(struct memory *mem, gfn_t gfn, enum pg_level level, hpa_t to)
{
	struct ept_state s = ept_lookup(&mem->ept, gfn);
	uint64_t inside = (gfn & (level_frames(s.level) - 1)) << PAGE_SHIFT;
	struct ept_frozen f;
	int err;

	if (level > PG_LEVEL_2M || family_writes(mem) || !IS_ALIGNED(gfn, level_frames(level)) ||
	    !IS_ALIGNED(to.v, level_frames(level) << PAGE_SHIFT))
		return -EINVAL;
	if (s.kind == EPT_PRESENT && s.level >= level && s.frame.v + inside == to.v)
		return 0;
	if (atomic_load(&mem->cloning))
		return EPT_BUSY;
	err = ept_freeze(mem_handle(mem), gfn, level, EPT_WHY_COW, &f, mem_gather(mem));
	ept_sync(mem_gather(mem));
	return err ? err : change_frames(mem, &f, to);
}

/* --- other guest addresses ---------------------------------------------------------------- */

int mem_move(struct memory *mem, gfn_t from, gfn_t to, uint64_t frames)
{
	int err = backing_alias(&mem->backing, &mem->ept, from, to, frames);

	if (err)
		return err == -EINVAL ? err : -ENOMEM;
	while ((err = ept_move(mem_handle(mem), from, to, frames, mem_gather(mem))) == EPT_BUSY) {
		ept_sync(mem_gather(mem));
		mem_pass(mem);
	}
	ept_sync(mem_gather(mem));
	if (err)
		return err;
	private_readdress(mem, to, frames);
	mem_note_dirty(mem, to, frames);
	mem->end = MAX(mem->end, to + frames);
	return 0;
}
