/* SPDX-License-Identifier: MIT */
/*
 * job=relocate: memory leaves its frames while the guest uses it, as where frames begin to fail:
 * "soft offline". Each frame is named by its address alone; reverse lookup says which guest memory
 * it holds. Then copying makes large leaves of the pieces again, as khugepaged does.
 */
#include "hv/job/guest_leaves.h"
#include "hv/job/list.h"
#include "hv/mem/collapse_copy.h"
#include "hv/mem/copy.h"
#include "hv/mem/private.h"
#include "hv/mem/relocate.h"
#include "hv/mem/reverse.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/panic.h"

#define EVERY 37   /* of the pages of a range that goes in pieces */
#define FAILS 0xf1 /* fills a frame that was left, so that a stale read shows */

static gfn_t first, end_of_all; /* whole ranges of the payload's memory */
static enum pg_level largest;   /* that they can become */
static int64_t moved;           /* pieces, in this round */

static const char *begin(struct guest_run *run)
{
	struct memory *mem = &run->vm->mem;

	TRY(guest_ranges(run, &first, &end_of_all));
	if (mem->backing.level == PG_LEVEL_4K)
		mem_allow_leaves(mem, PG_LEVEL_2M);
	/* With nx=on executed ranges stay small, and so does the GiB around them. */
	largest = mem->ept.nx ? PG_LEVEL_2M : mem->ept.leaf_max;
	return NULL;
}

/* --- by its frame ------------------------------------------------------------------------- */

struct found {
	struct memory *mem;
	gfn_t gfn;
};

static void note(void *ctx, const struct ept_mapping *m)
{
	*(struct found *)ctx = (struct found){ .mem = mem_of(m->ept), .gfn = m->gfn };
}

/* Relocates the piece to the frames at `to`, once nobody else is at work on it. */
static const char *go_to(struct guest_run *run, const struct found *f, enum pg_level level,
			 hpa_t to)
{
	int err;

	while ((err = mem_relocate(f->mem, f->gfn, level, to)) == EPT_BUSY)
		TRY(guest_turn(run));
	if (!err)
		return NULL;
	con_printf("cleave: gpa 0x%llx could not leave its frame: %s\n",
		   (unsigned long long)gfn_to_gpa(f->gfn).v, ept_refusal_name(err));
	return "a piece could not be relocated";
}

/* Does the memory keep this frame after its page has left? */
static bool stays(const struct memory *mem, hpa_t frame)
{
	return mem->backing.level > PG_LEVEL_4K && !private_is(frame);
}

/* Empties the block of this level at `frame`. */
static const char *leave(struct guest_run *run, hpa_t frame, enum pg_level level)
{
	hpa_t to = frame_alloc(&machine_frames, level_order(level));
	bool keeps = level == PG_LEVEL_4K && stays(&run->vm->mem, frame);
	uint64_t began = clock_now();
	struct found f = { 0 };
	const char *why;

	MUST(to.v != HPA_NONE.v, "no frames to go to: give the machine more memory, or make "
				 "region= smaller");
	why = reverse_find(frame, note, &f) == 1 ? go_to(run, &f, level, to)
						 : "not one page is found by its frame";
	if (why && frame_free(&machine_frames, to, level_order(level)))
		panic("a block was not ours to free");
	TRY(why);
	guest_figure(run, "relocate_us", "us in relocations", cycles_to_us(clock_now() - began));
	MUST(!reverse_count(frame, level_order(level)),
	     "a frame is still mapped that the memory has left");
	moved++;
	if (keeps)
		__builtin_memset(direct(frame), FAILS, PAGE_SIZE);
	return NULL;
}

static hpa_t frame_at(const struct guest_run *run, gfn_t gfn)
{
	return direct_hpa(mem_page(&run->vm->mem, gfn));
}

/* --- away and back ------------------------------------------------------------------------ */

/* Moves every other range in one piece, if it is one; of the others, single pages. */
static const char *leave_range(struct guest_run *run, gfn_t gfn)
{
	bool whole = ept_lookup(&run->vm->mem.ept, gfn).level >= PG_LEVEL_2M;

	if (whole && (gfn / level_frames(PG_LEVEL_2M) + run->round) % 2 == 0) {
		guest_figure(run, "relocated_2m", "pieces of 2 MiB that went to other frames", 1);
		return leave(run, frame_at(run, gfn), PG_LEVEL_2M);
	}
	for (gfn_t i = run->round % EVERY; i < level_frames(PG_LEVEL_2M); i += EVERY) {
		guest_figure(run, "relocated_4k", "pages that went to other frames", 1);
		TRY(leave(run, frame_at(run, gfn + i), PG_LEVEL_4K));
		TRY(guest_turn(run));
	}
	return NULL;
}

static const char *one_round(struct guest_run *run)
{
	int64_t before = guest_stats(run).relocated;

	moved = 0;
	for (gfn_t gfn = first; gfn < end_of_all; gfn += level_frames(PG_LEVEL_2M))
		TRY(leave_range(run, gfn));
	MUST(guest_stats(run).relocated == before + moved, "relocations are not counted, or twice");
	TRY(guest_passes(run, 1));
	TRY(guest_together(run, first, end_of_all, largest));
	TRY(guest_all_leaves(run, first, end_of_all, largest));
	return guest_passes(run, 1);
}

const char *relocate_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "relocate",
		.begin = begin,
		.round = one_round,
	};

	return guest_run(&job, config, info);
}
