/* SPDX-License-Identifier: MIT */
/* In-machine cases of ranges that change at 4 KiB edges while vCPUs run, and of the hypervisor's
 * own accesses to guest memory. */
#include "tests/machine/cases.h"

#include "hv/base/string.h"
#include "hv/mem/guest_memory.h"
#include "hv/mem/relocate.h"
#include "hv/vm/clone.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define WORK  (8 * MIB)
#define RANGE (WORK >> PAGE_SHIFT)

/* --- write protection ---------------------------------------------------------------------- */

/* 2 MiB by 2 MiB, then page by page; the last page never comes. */
static const char *arrive_but_the_last(struct lab *lab)
{
	gfn_t last = GIB_FRAMES - RANGE_FRAMES;

	TRY(lab_fill_all(lab, RANGE, last, PG_LEVEL_2M));
	return lab_fill_all(lab, last, GIB_FRAMES - 1, PG_LEVEL_4K);
}

static const char *all_protected(const struct lab *lab)
{
	for (gfn_t gfn = RANGE; gfn < GIB_FRAMES;) {
		struct ept_state s = ept_lookup(&lab->vm->mem.ept, gfn);

		MUST(s.perms == (EPT_R | EPT_X), "a page lost its protection");
		gfn += level_frames(s.level);
	}
	return NULL;
}

/* The write reaches a vCPU that may not make it. */
static const char *write_is_denied(struct lab *lab, gfn_t gfn)
{
	const char *why = lab_poke(lab, POKE_SHARE | POKE_WRITE, gfn << PAGE_SHIFT,
				   (uint64_t)lab->vm->nvcpus << PAGE_SHIFT, PAGE_SIZE);

	MUST(why && !strcmp(why, "its access is not permitted there"), "a write was not denied");
	return NULL;
}

static const char *protection_survives_the_ladder(struct lab *lab)
{
	/* Nothing has arrived: the marks are on absent entries, whatever splits these. */
	MUST(!guest_protect(&lab->vm->mem, RANGE, GIB_FRAMES - RANGE, EPT_R | EPT_X),
	     "protect failed");
	TRY(arrive_but_the_last(lab));
	TRY(all_protected(lab));
	TRY(lab_poke(lab, POKE_SHARE, WORK, GIB - WORK - PAGE_SIZE, 34 * MIB + PAGE_SIZE));
	TRY(write_is_denied(lab, RANGE + 3));
	TRY(write_is_denied(lab, GIB_FRAMES - RANGE_FRAMES + 7));
	/* What was never here is protected, too. */
	TRY(lab_fill(lab, GIB_FRAMES - 1, PG_LEVEL_4K));
	TRY(write_is_denied(lab, GIB_FRAMES - 1));
	TRY(all_protected(lab));
	/* Protection alone is no reason to stay small. */
	MUST(lab_collapse(lab, GIB_FRAMES - RANGE_FRAMES, RANGE_FRAMES).collapsed == 1,
	     "a uniformly protected range did not collapse");
	TRY(all_protected(lab));
	MUST(!guest_protect(&lab->vm->mem, RANGE, GIB_FRAMES - RANGE, EPT_RWX), "protect failed");
	return lab_poke(lab, POKE_SHARE | POKE_WRITE, WORK, GIB - WORK, 34 * MIB + PAGE_SIZE);
}

/* One page in the middle of a GiB; and some that begin where a range of 2 MiB does. */
static const char *protect_splits_only_at_the_edges(struct lab *lab)
{
	gfn_t page = 100 * RANGE_FRAMES + 17, range = 200 * RANGE_FRAMES;

	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN | POKE_WRITE, WORK, GIB - WORK,
		      14 * MIB + PAGE_SIZE));
	MUST(!guest_protect(&lab->vm->mem, page, 1, EPT_R), "protect failed");
	TRY(lab_leaves(lab, 512, 511, 0));
	MUST(lab_collapse(lab, 0, GIB_FRAMES).refused[ept_nr(EPT_MIXED)] == 1,
	     "mixed rights collapsed");
	TRY(lab_finish(lab));
	MUST(!lab_faults(lab), "a vCPU faulted on a page whose rights did not change");
	TRY(write_is_denied(lab, page));
	MUST(!guest_protect(&lab->vm->mem, range, 2 * RANGE_FRAMES + 5, EPT_R), "protect failed");
	TRY(lab_leaves(lab, 1024, 510, 0));
	MUST(!guest_protect(&lab->vm->mem, range, 2 * RANGE_FRAMES + 5, EPT_RWX), "protect failed");
	MUST(!guest_protect(&lab->vm->mem, page, 1, EPT_RWX), "protect failed");
	MUST(lab_collapse(lab, 0, GIB_FRAMES).collapsed == 3, "it did not collapse");
	return lab_leaves(lab, 0, 0, 1);
}

/* --- discarding ---------------------------------------------------------------------------- */

static const char *reads_zero(struct lab *lab, gfn_t gfn)
{
	static uint8_t page[PAGE_SIZE];

	MUST(!guest_read(&lab->vm->mem, gfn_to_gpa(gfn), page, PAGE_SIZE, GUEST_WAIT),
	     "a discarded page cannot be read");
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		MUST(!page[i], "a discarded page is not zero");
	return NULL;
}

static const char *discard_in_a_large_leaf(struct lab *lab)
{
	gfn_t here = 100 * RANGE_FRAMES + 17;
	unsigned int asked;

	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN | POKE_WRITE, WORK, GIB - WORK,
		      14 * MIB + PAGE_SIZE));
	MUST(!guest_discard(&lab->vm->mem, here, 1), "discard failed");
	TRY(lab_leaves(lab, 511, 511, 0));
	MUST(ept_lookup(&lab->vm->mem.ept, here).kind == EPT_ABSENT, "it is still there");
	TRY(lab_finish(lab));
	/* Its neighbours, each word right, without a fault. */
	TRY(lab_poke(lab, POKE_SHARE, (here + 1) << PAGE_SHIFT, 400 * PAGE_SIZE, PAGE_SIZE));
	TRY(lab_poke(lab, POKE_SHARE, (here - 16) << PAGE_SHIFT, 16 * PAGE_SIZE, PAGE_SIZE));
	MUST(!lab_faults(lab), "a neighbour was touched");
	asked = lab->asked;
	lab_place(lab, here); /* what comes late is void */
	TRY(reads_zero(lab, here));
	MUST(lab->asked == asked, "it was asked for");
	MUST(lab_collapse(lab, 0, GIB_FRAMES).collapsed == 2, "it did not collapse");
	return lab_leaves(lab, 0, 0, 1);
}

/* Before it has arrived: nobody asks for it any more. */
static const char *discard_before_arrival(struct lab *lab)
{
	MUST(!guest_discard(&lab->vm->mem, RANGE + 5, 3), "discard failed");
	MUST(lab_stats(lab).given_up == 3, "pages that were given up are not counted");
	TRY(lab_poke(lab, POKE_SHARE, WORK, 5 * PAGE_SIZE, PAGE_SIZE));
	MUST(lab->asked == 5, "not each neighbour was asked for");
	for (gfn_t gfn = RANGE + 5; gfn < RANGE + 8; gfn++)
		TRY(reads_zero(lab, gfn));
	MUST(lab->asked == 5, "a discarded page was asked for");
	return NULL;
}

/* --- the hypervisor's own accesses ---------------------------------------------------------- */

static const char *copy_in_and_out(struct lab *lab)
{
	static uint8_t out[3 * PAGE_SIZE], in[3 * PAGE_SIZE];
	gpa_t at = gpa(WORK + PAGE_SIZE - 100);
	struct ept_state s;

	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	/* Nothing has arrived: it is asked for, once for each page, and comes. */
	MUST(guest_read(&lab->vm->mem, at, in, 200, GUEST_NOWAIT) == -EAGAIN && lab->asked == 1,
	     "what has not arrived was not asked for");
	MUST(guest_read(&lab->vm->mem, at, in, 200, GUEST_NOWAIT) == -EAGAIN && lab->asked == 1,
	     "it was asked for twice");
	lab_place(lab, RANGE);
	MUST(guest_read(&lab->vm->mem, at, in, 100, GUEST_NOWAIT) == 0,
	     "what is here cannot be read");
	lab->at_hand = true;
	MUST(!guest_write(&lab->vm->mem, at, out, 2 * PAGE_SIZE + 200, GUEST_NOWAIT) &&
		     !guest_read(&lab->vm->mem, at, in, 2 * PAGE_SIZE + 200, GUEST_NOWAIT) &&
		     !memcmp(in, out, 2 * PAGE_SIZE + 200),
	     "what was written was not read");
	s = ept_lookup(&lab->vm->mem.ept, RANGE + 1);
	MUST(s.dirty && s.accessed, "a write was not noted");
	MUST(!guest_poison(&lab->vm->mem, RANGE + 2, 1), "poison failed");
	MUST(guest_read(&lab->vm->mem, at, in, 2 * PAGE_SIZE, GUEST_WAIT) == -EHWPOISON,
	     "poison was touched");
	MUST(guest_read(&lab->vm->mem, gpa(lab->config.region - 4), in, 8, GUEST_WAIT) == -ENOENT,
	     "memory that is not there was read");
	MUST(!guest_protect(&lab->vm->mem, RANGE, 1, EPT_R), "protect failed");
	MUST(guest_write(&lab->vm->mem, at, out, 8, GUEST_WAIT) == -EFAULT,
	     "what may not be written was");
	return NULL;
}

/* --- unplugged ------------------------------------------------------------------------------- */

static const char *give_own_frame(struct memory *mem, gfn_t gfn)
{
	hpa_t frame = frame_alloc(&machine_frames, FRAME_ORDER_4K);

	MUST(frame.v != HPA_NONE.v && !mem_relocate(mem, gfn, PG_LEVEL_4K, frame),
	     "a page could not leave its block");
	return NULL;
}

/* Two whole blocks and parts of two, with a page on a frame of its own in each part. */
static const char *unplug(struct lab *lab)
{
	struct memory *mem = &lab->vm->mem;
	gfn_t gfn = RANGE + 5, end = RANGE + 3 * RANGE_FRAMES + 3;
	uint64_t free;

	TRY(give_own_frame(mem, gfn + 1));
	TRY(give_own_frame(mem, end - 1));
	TRY(give_own_frame(mem, end + 1));
	MUST(mem->singles == 3, "not one frame for each page");
	free = machine_frames.free;
	MUST(!guest_unmap(mem, gfn, end - gfn), "it could not be unplugged");
	MUST(mem->singles == 1, "a frame is kept whose page is unplugged");
	MUST(machine_frames.free == free + 2 * RANGE_FRAMES + 2, "the frames are not free");
	for (gfn_t at = gfn; at < end; at++)
		MUST(ept_lookup(&mem->ept, at).kind == EPT_NONE, "it is still mapped");
	MUST(ept_lookup(&mem->ept, gfn - 1).kind == EPT_PRESENT &&
		     ept_lookup(&mem->ept, end).kind == EPT_PRESENT,
	     "a neighbour is gone");
	return NULL;
}

static const char *unplugged_memory_is_free(struct lab *lab)
{
	struct vm *clone;
	int err;

	lab->at_hand = true;
	TRY(lab_fill_all(lab, RANGE, lab->vm->mem.frames, PG_LEVEL_2M));
	clone = vm_clone(lab->vm, "shared", EPT_SHARED);
	MUST(clone, "no clone");
	err = guest_unmap(&clone->mem, RANGE, 1);
	vm_destroy(clone);
	MUST(err == -EINVAL, "memory was unplugged that another VM writes to");
	TRY(unplug(lab));
	return lab_poke(lab, POKE_SHARE, (RANGE << PAGE_SHIFT) + 8 * MIB - MIB, MIB, PAGE_SIZE);
}

CASES_RANGES(LAB_JOB)
