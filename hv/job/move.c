/* SPDX-License-Identifier: MIT */
/*
 * job=move: guest memory that the payload does not use changes its guest address, without a copy,
 * and comes back, as mremap() has it; before and after that, some is unplugged, as memory
 * hot-unplug has it. The payload runs all the time.
 *
 * Memory that keeps its offset within 2 MiB moves in its large leaves, other memory in 4 KiB
 * pieces.
 */
#include "hv/base/console.h"
#include "hv/job/guest_leaves.h"
#include "hv/job/list.h"
#include "hv/mem/guest_memory.h"
#include "hv/mem/relocate.h"
#include "mm/machine.h"

#define BEFORE 5  /* pages of the part before its whole 2 MiB */
#define BEHIND 7  /* and behind */
#define GAP    3  /* pages between the part and what is unplugged */
#define SLACK  64 /* frames that notes of what is left may take */

static gfn_t part, range; /* of the payload's neighbour; a whole 2 MiB within */
static uint64_t frames;

/* --- contents ----------------------------------------------------------------------------- */

static gpa_t word_at(gfn_t gfn, gfn_t home)
{
	return gpa((gfn << PAGE_SHIFT) + home % 512 * sizeof(uint64_t));
}

static uint64_t word_of(const struct guest_run *run, gfn_t home)
{
	return run->config->seed ^ home * UINT64_C(0xd6e8feb86659fd93);
}

static const char *stamp(struct guest_run *run)
{
	for (gfn_t i = 0; i < frames; i++) {
		uint64_t word = word_of(run, part + i);

		MUST(!guest_write(&run->vm->mem, word_at(part + i, part + i), &word, sizeof(word),
				  GUEST_WAIT),
		     "a page could not be written");
	}
	return NULL;
}

/* The part is at `now`, and [gone, gone + frames) is no memory. */
static const char *is_at(struct guest_run *run, gfn_t now, gfn_t gone)
{
	struct memory *mem = &run->vm->mem;
	uint64_t word;

	for (gfn_t i = 0; i < frames; i++) {
		MUST(!guest_read(mem, word_at(now + i, part + i), &word, sizeof(word), GUEST_WAIT),
		     "what has moved cannot be read");
		MUST(word == word_of(run, part + i), "what has moved reads differently");
		MUST(guest_read(mem, word_at(gone + i, 0), &word, sizeof(word), GUEST_WAIT) ==
			     EPT_UNMAPPED,
		     "it is still where it was");
	}
	return NULL;
}

/* --- unplugging --------------------------------------------------------------------------- */

/* All behind the part. Blocks that lie wholly in there are free. */
static const char *unplug(struct guest_run *run, gfn_t gfn)
{
	struct memory *mem = &run->vm->mem;
	uint64_t block = level_frames(mem->backing.level), before, whole;

	whole = (mem->frames - MIN(ALIGN_UP(gfn, block), mem->frames)) & ~(block - 1);
	table_cache_drain(&machine_tables);
	before = machine_frames.free;
	MUST(!guest_unmap(mem, gfn, mem->frames - gfn), "memory could not be unplugged");
	table_cache_drain(&machine_tables);
	MUST(machine_frames.free + SLACK >= before + whole, "the frames were not given back");
	MUST(ept_lookup(&mem->ept, gfn).kind == EPT_NONE &&
		     ept_lookup(&mem->ept, mem->frames - 1).kind == EPT_NONE,
	     "it is still mapped");
	guest_figure(run, "unplugged", "pages unplugged behind the payload's memory",
		     mem->frames - gfn);
	guest_figure(run, "given_back", "frames that are free by it", whole);
	return NULL;
}

static const char *begin(struct guest_run *run)
{
	gfn_t behind = (run->config->work_start + run->config->work) >> PAGE_SHIFT;

	range = ALIGN_UP(behind + BEFORE, level_frames(PG_LEVEL_2M));
	part = range - BEFORE;
	frames = BEFORE + level_frames(PG_LEVEL_2M) + BEHIND;
	MUST(range + 2 * level_frames(PG_LEVEL_2M) <= run->vm->mem.frames,
	     "there is no room behind the payload's memory: make region= larger by 8M");
	TRY(stamp(run));
	TRY(unplug(run, part + frames + GAP));
	return guest_passes(run, 1);
}

/* --- moving ------------------------------------------------------------------------------- */

static const char *go(struct guest_run *run, gfn_t from, gfn_t to)
{
	int err = mem_move(&run->vm->mem, from, to, frames);

	if (err) {
		con_printf("cleave: memory could not move: %s\n", ept_refusal_name(err));
		return "memory could not move";
	}
	guest_figure(run, "moved", "pages that changed their address", frames);
	return is_at(run, to, from);
}

/* Behind all memory: so many GiB away; so many 2 MiB; or so many 4 KiB. */
static uint64_t distance(const struct guest_run *run, enum pg_level *size)
{
	uint64_t far = ALIGN_UP(run->vm->mem.frames, level_frames(PG_LEVEL_1G)) * 2;

	*size = run->round % 3 == 2 ? PG_LEVEL_4K : PG_LEVEL_2M;
	if (run->round % 3 == 0)
		return far;
	return far + (1 + run->round) * level_frames(*size);
}

static const char *one_round(struct guest_run *run)
{
	struct memory *mem = &run->vm->mem;
	enum pg_level largest = MIN(mem->ept.leaf_max, PG_LEVEL_2M), size;
	uint64_t away = distance(run, &size);

	TRY(go(run, part, part + away));
	TRY(guest_all_leaves(run, range + away, range + away + level_frames(PG_LEVEL_2M),
			     MIN(size, largest)));
	TRY(guest_passes(run, 1));
	TRY(go(run, part + away, part));
	(void)guest_collapse(run);
	TRY(guest_all_leaves(run, range, range + level_frames(PG_LEVEL_2M), largest));
	return guest_passes(run, 1);
}

/* It has been elsewhere, so its blocks stay with the memory until that ends. */
static const char *end(struct guest_run *run)
{
	uint64_t word;

	MUST(!guest_unmap(&run->vm->mem, part, frames), "memory could not be unplugged");
	for (gfn_t i = 0; i < frames; i++)
		MUST(guest_read(&run->vm->mem, word_at(part + i, 0), &word, sizeof(word),
				GUEST_WAIT) == EPT_UNMAPPED,
		     "it is still mapped");
	guest_figure(run, "unplugged_late", "pages unplugged that had moved", frames);
	return guest_passes(run, 1);
}

const char *move_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "move",
		.begin = begin,
		.round = one_round,
		.end = end,
	};

	return guest_run(&job, config, info);
}
