/* SPDX-License-Identifier: MIT */
/* In-machine cases of memory that goes to other frames, or to other guest addresses, while vCPUs
 * read and write it. after= says for how many milliseconds. */
#include "hv/mem/collapse_copy.h"
#include "hv/mem/relocate.h"

#include "ept/relocate.h"
#include "hv/base/clock.h"
#include "hv/vm/clone.h"
#include "hv/base/console.h"
#include "hv/mem/private.h"
#include "hv/mem/reverse.h"
#include "hv/mem/guest_memory.h"
#include "hv/base/string.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/cases.h"
#include "tests/machine/hoard.h"
#include "tests/machine/lab.h"

#define WORK  (8 * MIB)
#define RANGE (WORK >> PAGE_SHIFT)

static struct ept_cpu *me(const struct lab *lab)
{
	return ept_cpu(&lab->vm->mem.ept, cpu_id());
}

static struct ept_gather *gather(const struct lab *lab)
{
	return &lab->vm->mem.gather[cpu_id()];
}

static hpa_t frame_at(const struct vm *vm, gfn_t gfn)
{
	return direct_hpa(mem_page(&vm->mem, gfn));
}

/* --- a while ------------------------------------------------------------------------------- */

static const char *wait_ready(struct lab *lab)
{
	while (!vm_all_ready(lab->vm))
		MUST(lab_turn(lab), "the guest was not ready in time");
	return NULL;
}

/* Calls step() with a growing number until the time is over; the guests run in between. */
static const char *for_a_while(struct lab *lab, uint64_t *steps,
			       const char *(*step)(struct lab *lab, uint64_t n))
{
	uint64_t until;

	TRY(wait_ready(lab));
	until = clock_now() + us_to_cycles((uint64_t)lab->config.after_ms * 1000);
	for (*steps = 0; clock_now() < until; (*steps)++) {
		TRY(step(lab, *steps));
		MUST(lab_turn(lab), "the case's time is over");
		MUST(!lab->vm->over, "the guest ended");
	}
	return NULL;
}

/* Each vCPU goes on; who stands still has checked nothing. */
static const char *all_worked(const struct lab *lab)
{
	uint64_t visits = 0;

	for (unsigned int i = 0; i < lab->vm->nvcpus; i++) {
		MUST(lab->vm->vcpu[i].steps, "a vCPU looked at no page");
		visits += lab->vm->vcpu[i].steps;
	}
	con_printf("cleave: %llu pages looked at and written meanwhile\n",
		   (unsigned long long)visits);
	return NULL;
}

/* --- one piece ------------------------------------------------------------------------------ */

/* To a fresh frame; what it leaves is freed, and junk. If it stays in its block we write junk. */
static const char *relocate(struct lab *lab, gfn_t gfn, enum pg_level level)
{
	hpa_t to = frame_alloc(&machine_frames, 9 * (level - 1u));
	hpa_t was = frame_at(lab->vm, gfn);
	bool stays = level == PG_LEVEL_4K && !private_is(was);
	int err;

	MUST(to.v != HPA_NONE.v, "no frame to go to");
	while ((err = mem_relocate(&lab->vm->mem, gfn, level, to)) == -EBUSY)
		mem_pass(&lab->vm->mem);
	MUST(!err, "a piece could not be relocated");
	MUST(frame_at(lab->vm, gfn).v == to.v, "it is not where it was to go");
	if (stays)
		memset(direct(was), FRAME_JUNK, PAGE_SIZE);
	return NULL;
}

/* One leaf of 2 MiB, and in between the pages of the range behind it. */
static const char *relocate_some(struct lab *lab, uint64_t n)
{
	if (n % 16 == 0)
		return relocate(lab, RANGE, PG_LEVEL_2M);
	return relocate(lab, RANGE + RANGE_FRAMES + n * 16 % RANGE_FRAMES, PG_LEVEL_4K);
}

static const char *relocation_under_load(struct lab *lab)
{
	uint64_t steps;

	TRY(lab_fill_all(lab, RANGE, RANGE + 2 * RANGE_FRAMES, PG_LEVEL_2M));
	lab->at_hand = true;
	TRY(lab_start(lab, "mover", 0, WORK, 4 * MIB, 16 * PAGE_SIZE));
	TRY(for_a_while(lab, &steps, relocate_some));
	con_printf("cleave: %llu relocations in %u ms\n", (unsigned long long)steps,
		   lab->config.after_ms);
	MUST(lab_stats(lab).relocated == (int64_t)steps, "relocations are not counted");
	TRY(lab_finish(lab));
	MUST(ept_lookup(&lab->vm->mem.ept, RANGE).level == PG_LEVEL_2M, "the large leaf was split");
	return all_worked(lab);
}

/* --- refusals ------------------------------------------------------------------------------- */

static const char *while_frozen(struct lab *lab, hpa_t frame)
{
	struct vm *vm = lab->vm;
	struct ept_frozen f;

	TRY(lab_start(lab, "poke", POKE_AGAIN | POKE_WRITE, WORK, 2 * MIB, PAGE_SIZE));
	TRY(wait_ready(lab));
	MUST(!ept_freeze(me(lab), RANGE + 3, PG_LEVEL_4K, EPT_WHY_COW, &f, gather(lab)), "frozen");
	ept_sync(gather(lab));
	MUST(ept_collapse(me(lab), RANGE, PG_LEVEL_2M, gather(lab)) == -EBUSY,
	     "collapse: not -EBUSY");
	MUST(mem_collapse_copy(&vm->mem, RANGE, PG_LEVEL_2M) == -EBUSY, "with copies: not -EBUSY");
	MUST(mem_relocate(&vm->mem, RANGE + 3, PG_LEVEL_4K, frame) == -EBUSY,
	     "relocation: not -EBUSY");
	while (vm->vcpu[0].run != VCPU_WAITING || vm->vcpu[0].wait_gfn != RANGE + 3)
		MUST(lab_turn(lab), "the vCPU does not wait for the frozen page");
	(void)ept_thaw(me(lab), &f, f.was.frame);
	return lab_finish(lab);
}

static const char *not_supported(struct lab *lab, hpa_t frame)
{
	struct vm *vm = lab->vm, *clone;
	int a, b;

	MUST(mem_relocate(&vm->mem, RANGE + 3, PG_LEVEL_4K, frame_at(vm, RANGE + 3)) == 0, "not 0");
	MUST(mem_relocate(&vm->mem, 0, PG_LEVEL_1G, frame) == -EINVAL, "1 GiB was relocated");
	MUST(mem_relocate(&vm->mem, RANGE + 3, PG_LEVEL_2M, frame) == -EINVAL,
	     "not aligned, and relocated");
	MUST(mem_relocate(&vm->mem, RANGE + RANGE_FRAMES, PG_LEVEL_4K, frame) == -EAGAIN, "absent");
	MUST(mem_collapse_copy(&vm->mem, 0, PG_LEVEL_1G) == -EINVAL, "a leaf above the largest");
	MUST(mem_collapse_copy(&vm->mem, RANGE + 3, PG_LEVEL_2M) == -EINVAL,
	     "not aligned, and collapsed");
	MUST(mem_collapse_copy(&vm->mem, RANGE, PG_LEVEL_2M) == 0, "there was something to do");
	clone = vm_clone(vm, "shared", EPT_SHARED);
	MUST(clone, "no clone");
	a = mem_relocate(&vm->mem, RANGE + 3, PG_LEVEL_4K, frame);
	b = mem_collapse_copy(&clone->mem, RANGE, PG_LEVEL_2M);
	vm_destroy(clone);
	MUST(a == -EINVAL && b == -EINVAL, "what another VM writes to was relocated");
	return NULL;
}

static const char *holes_and_loss(struct lab *lab, hpa_t frame)
{
	struct vm *vm = lab->vm;
	gfn_t gfn = RANGE + RANGE_FRAMES;
	int err;

	TRY(lab_fill_all(lab, gfn, gfn + 511, PG_LEVEL_4K));
	MUST(mem_relocate(&vm->mem, gfn, PG_LEVEL_2M, backing_frame(&vm->mem.backing, 0)) == -E2BIG,
	     "small");
	MUST(mem_collapse_copy(&vm->mem, gfn, PG_LEVEL_2M) == EPT_HOLE, "a hole was collapsed");
	TRY(lab_fill(lab, gfn + 511, PG_LEVEL_4K));
	TRY(relocate(lab, gfn + 8, PG_LEVEL_4K));
	MUST(ept_collapse(me(lab), gfn, PG_LEVEL_2M, gather(lab)) == EPT_SCATTERED, "scattered");
	MUST(!guest_poison(&vm->mem, gfn + 9, 1), "a page could not be lost");
	MUST(mem_collapse_copy(&vm->mem, gfn, PG_LEVEL_2M) == -EHWPOISON,
	     "lost memory was collapsed");
	MUST(mem_relocate(&vm->mem, gfn + 9, PG_LEVEL_4K, frame) == -EHWPOISON,
	     "lost memory was moved");
	gfn += RANGE_FRAMES;
	TRY(lab_fill_all(lab, gfn, gfn + 512, PG_LEVEL_4K));
	TRY(relocate(lab, gfn + 8, PG_LEVEL_4K));
	MUST(!guest_protect(&vm->mem, gfn, 1, EPT_R), "no protection");
	MUST(mem_collapse_copy(&vm->mem, gfn, PG_LEVEL_2M) == EPT_MIXED,
	     "mixed rights were collapsed");
	MUST(!guest_protect(&vm->mem, gfn, 1, EPT_RWX), "no protection");
	TRY(relocate(lab, gfn, PG_LEVEL_4K));
	hoard_take(FRAME_ORDER_4K);
	/* It goes back to its own block, so nothing is needed. */
	err = mem_collapse_copy(&vm->mem, gfn, PG_LEVEL_2M);
	TRY(hoard_give());
	MUST(err == 1, "it did not go back to its own block");
	return NULL;
}

static const char *relocation_says_why(struct lab *lab)
{
	hpa_t frame = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	const char *why = NULL;

	MUST(frame.v != HPA_NONE.v, "no frame");
	lab->at_hand = true;
	TRY(lab_fill_all(lab, RANGE, RANGE + RANGE_FRAMES, PG_LEVEL_4K));
	why = while_frozen(lab, frame);
	if (!why && lab_collapse(lab, RANGE, RANGE_FRAMES).collapsed != 1)
		why = "it did not collapse after the thaw";
	if (!why)
		why = not_supported(lab, frame);
	if (!why)
		why = holes_and_loss(lab, frame);
	lab_free(frame);
	return why;
}

/* --- scattered memory ------------------------------------------------------------------------ */

#define SCATTERED 2 /* ranges of the guest's work */

/* The pages of a range are made large; some time later they are scattered again. */
static const char *collapse_some(struct lab *lab, uint64_t n)
{
	gfn_t gfn = RANGE + n % SCATTERED * RANGE_FRAMES;
	int r = ept_collapse(me(lab), gfn, PG_LEVEL_2M, gather(lab));

	MUST(r == EPT_SCATTERED || r == EPT_BUSY, "scattered pages collapsed without a copy");
	while ((r = mem_collapse_copy(&lab->vm->mem, gfn, PG_LEVEL_2M)) == -EBUSY)
		mem_pass(&lab->vm->mem);
	MUST(r == 1, "scattered pages did not collapse");
	MUST(ept_lookup(&lab->vm->mem.ept, gfn).level == PG_LEVEL_2M, "there is no large leaf");
	MUST(mem_collapse_copy(&lab->vm->mem, gfn, PG_LEVEL_2M) == 0, "it was done once more");
	for (gfn_t i = 0; i < RANGE_FRAMES; i += 37)
		TRY(relocate(lab, gfn + i, PG_LEVEL_4K));
	return NULL;
}

static const char *scattered_memory_collapses(struct lab *lab)
{
	uint64_t steps, before;

	mem_allow_leaves(&lab->vm->mem, PG_LEVEL_2M);
	lab->at_hand = true;
	TRY(lab_fill_all(lab, RANGE, RANGE + SCATTERED * RANGE_FRAMES, PG_LEVEL_4K));
	MUST(frame_at(lab->vm, RANGE + 1).v != frame_at(lab->vm, RANGE).v + PAGE_SIZE,
	     "the memory is not scattered");
	TRY(lab_start(lab, "mover", 0, WORK, SCATTERED * 2 * MIB, 16 * PAGE_SIZE));
	table_cache_drain(&machine_tables);
	before = machine_frames.free;
	TRY(for_a_while(lab, &steps, collapse_some));
	con_printf("cleave: %llu ranges collapsed in %u ms\n", (unsigned long long)steps,
		   lab->config.after_ms);
	TRY(lab_finish(lab));
	for (gfn_t i = 0; i < SCATTERED; i++)
		MUST(mem_collapse_copy(&lab->vm->mem, RANGE + i * RANGE_FRAMES, PG_LEVEL_2M) >= 0,
		     "at last");
	/* The scattered frames are free, the blocks are in use, and the list of extents. */
	MUST(machine_frames.free + 32 >= before, "frames were lost");
	return all_worked(lab);
}

#define CRUMBS (2 * 4096) /* every other one is given back before the VM is made */

static hpa_t crumb[CRUMBS];

/* So that no two frames of the VM lie side by side. */
static void scatter(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		crumb[i] = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	for (unsigned int i = 1; i < n; i += 2)
		lab_free(crumb[i]);
}

static void sweep(unsigned int n)
{
	for (unsigned int i = 0; i < n; i += 2)
		lab_free(crumb[i]);
}

/* --- private pages --------------------------------------------------------------------------- */

static const char *write_pages(struct vm *vm, gfn_t gfn, unsigned int n)
{
	uint64_t word = 5;

	for (unsigned int i = 0; i < n; i++)
		MUST(!guest_write(&vm->mem, gpa((gfn + i) << PAGE_SHIFT), &word, sizeof(word),
				  GUEST_WAIT),
		     "a page could not be written");
	return NULL;
}

static const char *collapse_clone(struct lab *lab, struct vm *clone)
{
	struct ept_cpu *its = ept_cpu(&clone->mem.ept, cpu_id());
	uint64_t free;

	TRY(write_pages(clone, RANGE, 40));
	MUST(clone->mem.singles == 40, "not one copy for each page");
	free = machine_frames.free;
	MUST(ept_collapse(its, RANGE, PG_LEVEL_2M, &clone->mem.gather[cpu_id()]) == EPT_SCATTERED,
	     "private pages collapsed without being asked to copy");
	MUST(machine_frames.free == free, "a refused collapse took memory");
	MUST(mem_collapse_copy(&clone->mem, RANGE, PG_LEVEL_2M) == 1,
	     "private pages did not collapse");
	MUST(!clone->mem.singles && machine_frames.free == free + 40 - 512, "frames differ");
	MUST(ept_lookup(&clone->mem.ept, RANGE).level == PG_LEVEL_2M &&
		     !ept_lookup(&clone->mem.ept, RANGE).cow,
	     "the clone has no large leaf of its own");
	MUST(*(uint64_t *)mem_page(&clone->mem, RANGE + 39) == 5 &&
		     *(uint64_t *)mem_page(&lab->vm->mem, RANGE) != 5,
	     "contents differ");
	/* What the clone has left is the original's alone. */
	return NULL;
}

static const char *private_pages_collapse(struct lab *lab)
{
	struct vm *clone;
	const char *why;
	struct pager_stats s;
	uint64_t free;

	lab->at_hand = true;
	TRY(lab_fill_all(lab, RANGE, RANGE + 2 * RANGE_FRAMES, PG_LEVEL_2M));
	clone = vm_clone(lab->vm, "clone", EPT_PRIVATE);
	MUST(clone, "no clone");
	why = collapse_clone(lab, clone);
	if (!why)
		why = write_pages(lab->vm, RANGE, 1);
	if (!why)
		why = write_pages(lab->vm, RANGE + RANGE_FRAMES, 10);
	pager_sum(&lab->vm->mem, &s);
	vm_destroy(clone);
	TRY(why);
	MUST(s.reused == 1 && s.copied == 10 && lab->vm->mem.singles == 10, "copies, and no copy");
	table_cache_drain(&machine_tables);
	free = machine_frames.free;
	MUST(mem_collapse_copy(&lab->vm->mem, RANGE + RANGE_FRAMES, PG_LEVEL_2M) == 1,
	     "not back to 2 MiB");
	table_cache_drain(&machine_tables);
	MUST(!lab->vm->mem.singles && machine_frames.free >= free + 10, "it did not go back home");
	return lab_poke(lab, POKE_WRITE, WORK, 4 * MIB, PAGE_SIZE);
}

/* --- other addresses ------------------------------------------------------------------------- */

#define PART  (128 * MIB >> PAGE_SHIFT) /* goes from here */
#define THERE (PART + GIB_FRAMES)       /* to here: words are right in each GiB */
#define SIZE  (64 * MIB >> PAGE_SHIFT)
#define LOST  (PART + 5 * RANGE_FRAMES + 7)
#define GONE  (PART + 6 * RANGE_FRAMES) /* a range that has not arrived */

/* One GiB, of which a part is small; some of it is lost, some absent. */
static const char *mixed_gib(struct lab *lab)
{
	struct ept_split_result r;
	uint64_t path[PG_LEVEL_MAX];

	lab->at_hand = true;
	for (gfn_t gfn = 0; gfn < GIB_FRAMES; gfn += RANGE_FRAMES)
		if (gfn != GONE)
			TRY(lab_fill(lab, gfn, PG_LEVEL_2M));
	ept_split_range(me(lab), PART + RANGE_FRAMES, 2 * RANGE_FRAMES, PG_LEVEL_4K, EPT_WHY_ASKED,
			gather(lab), &r);
	ept_sync(gather(lab));
	MUST(!guest_poison(&lab->vm->mem, LOST, 1), "a page could not be lost");
	TRY(lab_fill(lab, GONE + 5, PG_LEVEL_4K));
	ept_path(&lab->vm->mem.ept, GONE, path);
	return NULL;
}

/* Kind, level and frame of each entry. */
static uint64_t shape_of(const struct lab *lab, gfn_t gfn)
{
	uint64_t shape = 0;

	for (gfn_t at = gfn; at < gfn + SIZE;) {
		struct ept_state s = ept_lookup(&lab->vm->mem.ept, at);

		shape = (shape ^ (s.frame.v + s.kind * 8u + s.level + ((at - gfn) << 40))) *
			UINT64_C(0x9e3779b97f4a7c15);
		at += level_frames(s.level);
	}
	return shape;
}

static const char *same_leaves(const struct lab *lab, const struct ept_stats *before)
{
	return lab_leaves(lab, before->pages_4k, before->pages_2m, before->pages_1g);
}

static bool is_lost(const struct vm *vm, gfn_t gfn)
{
	return ept_lookup(&vm->mem.ept, gfn).kind == EPT_POISON;
}

static void count_found(void *ctx, const struct ept_mapping *m)
{
	*(gfn_t *)ctx = m->gfn;
}

static const char *moved(struct lab *lab, const struct ept_stats *before, uint64_t shape)
{
	gfn_t found = 0;

	MUST(shape_of(lab, THERE) == shape, "granularity or frames did not move along");
	MUST(is_lost(lab->vm, LOST + GIB_FRAMES) && !is_lost(lab->vm, LOST),
	     "the loss did not move");
	for (gfn_t gfn = PART; gfn < PART + SIZE; gfn++)
		MUST(ept_lookup(&lab->vm->mem.ept, gfn).kind == EPT_NONE,
		     "something is left behind");
	MUST(reverse_find(frame_at(lab->vm, THERE + 3), count_found, &found) == 1 &&
		     found == THERE + 3,
	     "a lookup does not find where the frame went");
	return same_leaves(lab, before);
}

/* The guest finds what was moved at the new addresses; the old ones lead nowhere. */
static const char *seen_by_guest(struct lab *lab)
{
	TRY(lab_poke(lab, POKE_WRITE, THERE << PAGE_SHIFT, 5 * 2 * MIB, PAGE_SIZE));
	TRY(lab_poke(lab, POKE_SHARE, (GONE + GIB_FRAMES) << PAGE_SHIFT, 32 * PAGE_SIZE,
		     PAGE_SIZE));
	TRY(lab_start(lab, "poke", POKE_SHARE, PART << PAGE_SHIFT, PAGE_SIZE, PAGE_SIZE));
	while (!vm_over(lab->vm))
		MUST(lab_turn(lab), "the old address can be read");
	vm_stop(lab->vm);
	MUST(lab->vm->vcpu[0].run == VCPU_DEAD &&
		     !strcmp(lab->vm->vcpu[0].death,
			     "it accessed an address outside of its memory"),
	     "the old address does not fault as wild");
	return NULL;
}

static const char *move_at_mixed_granularity(struct lab *lab)
{
	struct ept_stats before;
	uint64_t shape;

	TRY(mixed_gib(lab));
	lab->config.region = 2 * GIB;
	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN | POKE_WRITE, (PART + SIZE) << PAGE_SHIFT,
		      256 * MIB, 3 * MIB + PAGE_SIZE));
	TRY(wait_ready(lab));
	before = lab_stats(lab);
	shape = shape_of(lab, PART);
	MUST(mem_move(&lab->vm->mem, PART, PART + SIZE, SIZE) == -EEXIST,
	     "moved over what is mapped");
	for (unsigned int i = 0; i < 3; i++) {
		MUST(!mem_move(&lab->vm->mem, PART, THERE, SIZE), "it could not be moved");
		TRY(moved(lab, &before, shape));
		if (i < 2)
			MUST(!mem_move(&lab->vm->mem, THERE, PART, SIZE),
			     "it could not be moved back");
		for (unsigned int j = 0; j < 100; j++)
			MUST(lab_turn(lab) && !lab->vm->over, "the guest ended");
	}
	TRY(lab_finish(lab));
	return seen_by_guest(lab);
}

/* --- other blocks than it began with ---------------------------------------------------------- */

/* Pieces leave the frame of 1 GiB, and their later blocks, and come back. */
static const char *pieces_of_a_gib_relocate(struct lab *lab)
{
	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	TRY(relocate(lab, RANGE, PG_LEVEL_2M));
	TRY(relocate(lab, RANGE + RANGE_FRAMES + 7, PG_LEVEL_4K));
	TRY(relocate(lab, RANGE, PG_LEVEL_2M));
	TRY(lab_poke(lab, POKE_WRITE, WORK, 4 * MIB, PAGE_SIZE));
	TRY(lab_leaves(lab, 512, 511, 0));
	MUST(mem_collapse_copy(&lab->vm->mem, 0, PG_LEVEL_1G) == 2,
	     "it did not become one leaf again");
	TRY(lab_leaves(lab, 0, 0, 1));
	return lab_poke(lab, POKE_SHARE, WORK, 4 * MIB, PAGE_SIZE);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static const char *run_case(const struct run_config *config, const struct boot_info *info,
			    const char *(*body)(struct lab *lab))
{
	unsigned int crumbs = config->backing == PG_LEVEL_4K ? CRUMBS : 0;
	const char *why;
	uint64_t before;

	table_cache_drain(&machine_tables);
	before = machine_frames.free;
	scatter(crumbs);
	why = lab_run(config, info, body);
	sweep(crumbs);
	table_cache_drain(&machine_tables);
	if (!why && machine_frames.free != before)
		why = "frames were lost";
	return why;
}

#define JOB(name)                                                                                  \
	const char *name##_job(const struct run_config *config, const struct boot_info *info)      \
	{                                                                                          \
		return run_case(config, info, name);                                               \
	}
CASES_RELOCATE(JOB)
