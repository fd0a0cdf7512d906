/* SPDX-License-Identifier: MIT */
/* In-machine cases of the dirty log: what is not just a vCPU's first write to a small page. */
#include "tests/machine/cases.h"

#include "ept/relocate.h"
#include "hv/vm/dirty_log.h"
#include "hv/mem/guest_memory.h"
#include "hv/mem/collapse_copy.h"
#include "hv/mem/relocate.h"
#include "hv/base/string.h"
#include "mm/err.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define FIRST  (8 * MIB >> PAGE_SHIFT)
#define LATER  (FIRST + RANGE_FRAMES) /* absent when the tracking begins; arrives in one leaf */
#define FRAMES (32 * MIB >> PAGE_SHIFT)

static uint64_t bitmap[FRAMES / 64];

/* The page is in the next collection; `only`: it, and no other of its 2 MiB. */
static const char *reported(struct dirty_log *d, gfn_t gfn, bool only)
{
	gfn_t range = ALIGN_DOWN(gfn, RANGE_FRAMES);
	uint64_t n = 0, all = 0, told;

	memset(bitmap, 0, sizeof(bitmap));
	told = dirty_collect(d, bitmap);
	for (gfn_t i = 0; i < FRAMES; i++)
		all += bitmap[i / 64] >> i % 64 & 1;
	MUST(told == all, "pages are counted that are not reported, or twice");
	MUST(bitmap[gfn / 64] >> gfn % 64 & 1, "a page was written, and is not reported");
	for (gfn_t i = range; i < range + RANGE_FRAMES; i++)
		n += bitmap[i / 64] >> i % 64 & 1;
	MUST(!only || n == 1, "pages are reported that nobody has written");
	return NULL;
}

static const char *nothing_more(struct dirty_log *d)
{
	memset(bitmap, 0, sizeof(bitmap));
	(void)dirty_collect(d, bitmap);
	for (gfn_t i = FIRST; i < LATER; i++)
		MUST(!(bitmap[i / 64] >> i % 64 & 1), "a clean page is reported");
	return NULL;
}

static const char *vcpu_writes(struct lab *lab, gfn_t gfn)
{
	return lab_poke(lab, POKE_WRITE, gfn << PAGE_SHIFT, PAGE_SIZE, PAGE_SIZE);
}

static const char *we_write(struct lab *lab, gfn_t gfn)
{
	uint64_t word = gfn;

	return guest_write(&lab->vm->mem, gfn_to_gpa(gfn), &word, sizeof(word), GUEST_WAIT)
		       ? "a page could not be written"
		       : NULL;
}

/* The hypervisor and a vCPU in turns: neither hides the other's writes. */
static const char *written_by_both(struct lab *lab, struct dirty_log *d)
{
	gfn_t gfn = FIRST + 3;

	for (unsigned int i = 0; i < 2; i++) {
		TRY(we_write(lab, gfn));
		TRY(reported(d, gfn, true));
		TRY(vcpu_writes(lab, gfn));
		TRY(reported(d, gfn, true));
	}
	return nothing_more(d);
}

/* It reads as zeros, which is a change; and so is each write after it has come back. */
static const char *discarded(struct lab *lab, struct dirty_log *d)
{
	gfn_t gfn = FIRST + 70;

	MUST(!guest_discard(&lab->vm->mem, gfn, 1), "a page could not be discarded");
	TRY(reported(d, gfn, true));
	MUST(vcpu_writes(lab, gfn), "a discarded page kept its contents");
	TRY(reported(d, gfn, true));
	for (unsigned int i = 0; i < 2; i++) {
		TRY(we_write(lab, gfn));
		TRY(reported(d, gfn, true));
	}
	return nothing_more(d);
}

/* One entry, of which each page is noted. */
static const char *discarded_large(struct lab *lab, struct dirty_log *d)
{
	gfn_t gfn = LATER + RANGE_FRAMES;

	MUST(!guest_discard(&lab->vm->mem, gfn, RANGE_FRAMES), "a range could not be discarded");
	MUST(ept_lookup(&lab->vm->mem.ept, gfn).level == PG_LEVEL_2M, "it is not one entry");
	TRY(reported(d, gfn, false));
	MUST(bitmap[(gfn + 511) / 64] >> 63, "not all of a discarded range is reported");
	return nothing_more(d);
}

/* One dirty bit for 512 pages: each write has to be seen, whichever it is. */
static const char *arrived_large(struct lab *lab, struct dirty_log *d)
{
	TRY(lab_fill(lab, LATER, PG_LEVEL_2M));
	for (gfn_t i = 3; i < 6; i++) {
		TRY(vcpu_writes(lab, LATER + i));
		TRY(reported(d, LATER + i, false));
	}
	return NULL;
}

/* Collected while somebody has taken it away to copy it. */
static const char *frozen(struct lab *lab, struct dirty_log *d)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	gfn_t gfn = FIRST + 140;
	struct ept_frozen f;

	TRY(vcpu_writes(lab, gfn));
	MUST(!ept_freeze(me, gfn, PG_LEVEL_4K, EPT_WHY_COW, &f, g), "a page could not be frozen");
	ept_sync(g);
	TRY(reported(d, gfn, true));
	(void)ept_thaw(me, &f, f.was.frame);
	/* Its dirty bit stood all the time, so no hardware logs this write. */
	TRY(vcpu_writes(lab, gfn));
	TRY(reported(d, gfn, true));
	return nothing_more(d);
}

/* What was dirty is so at its new address. */
static const char *moved(struct lab *lab, struct dirty_log *d)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	gfn_t from = FIRST + 200, to = FIRST + 300;

	MUST(!ept_unmap(me, to, 1, g), "a page could not be unmapped");
	ept_sync(g);
	TRY(we_write(lab, from));
	MUST(!mem_move(&lab->vm->mem, from, to, 1), "a page could not be moved");
	TRY(reported(d, to, true));
	TRY(we_write(lab, to));
	TRY(reported(d, to, true));
	return nothing_more(d);
}

static const char *nothing_escapes(struct lab *lab, enum dirty_how how)
{
	struct dirty_log d;
	int r;

	TRY(lab_warm_up(lab));
	TRY(lab_fill(lab, FIRST, PG_LEVEL_2M));
	MUST(!dirty_begin(&d, lab->vm, how), "tracking could not begin");
	while ((r = dirty_step(&d, FRAMES)) == 0)
		;
	MUST(r == 1, "splitting ahead failed");
	(void)dirty_collect(&d, bitmap);
	TRY(written_by_both(lab, &d));
	TRY(discarded(lab, &d));
	TRY(discarded_large(lab, &d));
	TRY(arrived_large(lab, &d));
	TRY(frozen(lab, &d));
	TRY(moved(lab, &d));
	dirty_end(&d, NULL);
	return NULL;
}

static const char *nothing_escapes_writes(struct lab *lab)
{
	return nothing_escapes(lab, DIRTY_WRITES);
}

static const char *nothing_escapes_bits(struct lab *lab)
{
	return nothing_escapes(lab, DIRTY_BITS);
}

/* Where the CPU keeps a log; else there is none whose gaps could be filled. */
static const char *nothing_escapes_log(struct lab *lab)
{
	return nothing_escapes(lab, vendor->has_log ? DIRTY_LOG : DIRTY_AUTO);
}

CASES_DIRTY(LAB_JOB)
