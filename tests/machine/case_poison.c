/* SPDX-License-Identifier: MIT */
/* In-machine cases of memory that is lost: what the guest is told, and what stays as it was. */
#include "tests/machine/cases.h"

#include "guest/lib/chain.h"
#include "hv/mem/guest_memory.h"
#include "hv/base/string.h"
#include "mm/err.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define WORK      (8 * MIB)
#define LOST      (WORK >> PAGE_SHIFT) /* the first page of the payload's work area */
#define LAST_WORD (PAGE_SIZE - sizeof(uint64_t))
#define PASSES    2 /* that the payload makes */

/* As guest/test/lost.c has them. */
enum {
	LOST_LOAD = 0,
	LOST_STORE = 1,
	LOST_FETCH = 2,
	LOST_NO_MCE = 4,
	LOST_STAY = 8,
	LOST_OFF = 16,
	LOST_DELIVERY = 32,
	LOST_KEEP = 64,
};

static const gfn_t lost_at[] = { LOST, LOST + 128, LOST + 256 };

static const char *poison(struct lab *lab, gfn_t gfn)
{
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	int err = ept_poison(ept_cpu(&lab->vm->mem.ept, cpu_id()), gfn, g);

	ept_sync(g);
	return err ? "a page could not be poisoned" : NULL;
}

/* A range of one 2 MiB leaf, with three lost pages in it. */
static const char *lose_three(struct lab *lab)
{
	TRY(lab_fill(lab, LOST, PG_LEVEL_2M));
	for (size_t i = 0; i < ARRAY_LEN(lost_at); i++)
		TRY(poison(lab, lost_at[i]));
	MUST(lab_stats(lab).poisoned == ARRAY_LEN(lost_at), "the counter of lost pages is wrong");
	return NULL;
}

static const char *visit(struct lab *lab, uint64_t flags, uint64_t frames)
{
	return lab_start(lab, "lost", flags, WORK, frames << PAGE_SHIFT, PAGE_SIZE);
}

/* The payload went over `frames` pages, and these were told to be lost: so many times in each
 * pass, at the address of their last word, and no others. */
static const char *told(struct lab *lab, uint64_t flags, uint64_t frames, const gfn_t *lost,
			uint64_t n, unsigned int times)
{
	const struct vcpu *vcpu = &lab->vm->vcpu[0];
	uint64_t chain = chain_begin(flags, 0);

	for (uint64_t i = 0; i < PASSES * n * times; i++)
		chain = chain_step(chain, gfn_to_gpa(lost[i / times % n]).v + LAST_WORD);
	MUST(vcpu->passes == PASSES * n * times, "machine checks: another number");
	MUST(vcpu->chain == chain, "machine checks: other addresses");
	MUST(vcpu->steps == PASSES * (frames - n), "a page beside the lost ones was not right");
	return NULL;
}

static const char *visit_three(struct lab *lab, uint64_t flags, unsigned int times)
{
	uint64_t before = lab->vm->vcpu[0].stats.machine_checks;

	TRY(visit(lab, flags, RANGE_FRAMES));
	TRY(lab_finish(lab));
	TRY(told(lab, flags, RANGE_FRAMES, lost_at, ARRAY_LEN(lost_at), times));
	MUST(lab->vm->vcpu[0].stats.machine_checks - before ==
		     (uint64_t)PASSES * ARRAY_LEN(lost_at) * times,
	     "the counter of machine checks is wrong");
	return NULL;
}

static const char *collapse_is_refused(struct lab *lab)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	int64_t before = lab_stats(lab).refused[ept_nr(EPT_LOST)];
	struct ept_collapse_result result;

	MUST(ept_collapse(me, LOST, PG_LEVEL_2M, g) == EPT_LOST,
	     "a range with lost pages collapsed");
	ept_sync(g);
	result = lab_collapse(lab, LOST, RANGE_FRAMES);
	MUST(result.refused[ept_nr(EPT_LOST)] == 1 && !result.collapsed,
	     "a range with lost pages collapsed");
	MUST(lab_stats(lab).refused[ept_nr(EPT_LOST)] == before + 2,
	     "the refusals were not counted");
	MUST(ept_poison(me, LOST + 128, g) == EPT_LOST, "a lost page can be lost again");
	ept_sync(g);
	return NULL;
}

static const char *lost_pages_are_machine_checks(struct lab *lab)
{
	TRY(lose_three(lab));
	TRY(visit_three(lab, LOST_LOAD, 1));
	TRY(collapse_is_refused(lab));
	TRY(visit_three(lab, LOST_LOAD, 1));
	TRY(visit_three(lab, LOST_STORE, 1));
	TRY(visit_three(lab, LOST_KEEP, 1));
	return visit_three(lab, LOST_FETCH, 2); /* a store and a fetch */
}

/* --- a whole huge page ---------------------------------------------------------------------- */

/* Each of its pages is told at its own address, the last one as the first. */
static const char *visit_huge(struct lab *lab)
{
	static gfn_t all[RANGE_FRAMES];

	for (uint64_t i = 0; i < RANGE_FRAMES; i++)
		all[i] = LOST + i;
	TRY(visit(lab, LOST_LOAD, RANGE_FRAMES));
	TRY(lab_finish(lab));
	return told(lab, LOST_LOAD, RANGE_FRAMES, all, RANGE_FRAMES, 1);
}

static const char *lost_huge_page(struct lab *lab)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	struct ept_state s;

	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	MUST(!guest_poison(&lab->vm->mem, LOST, RANGE_FRAMES), "it could not be poisoned");
	s = ept_lookup(&lab->vm->mem.ept, LOST + 17);
	MUST(s.kind == EPT_POISON && s.level == PG_LEVEL_2M, "it is not lost in one piece");
	MUST(lab_stats(lab).poisoned == RANGE_FRAMES, "the counter of lost pages is wrong");
	TRY(lab_leaves(lab, 0, 511, 0));
	TRY(visit_huge(lab));
	/* It blocks what is above it, and nothing else. */
	MUST(!ept_split(me, LOST + RANGE_FRAMES, PG_LEVEL_4K, EPT_WHY_ASKED, g), "no split");
	ept_sync(g);
	MUST(lab_collapse(lab, LOST + RANGE_FRAMES, RANGE_FRAMES).collapsed == 1,
	     "a neighbour did not collapse");
	MUST(lab_collapse(lab, 0, GIB_FRAMES).refused[ept_nr(EPT_LOST)] == 1,
	     "a GiB with a lost page collapsed");
	TRY(lab_leaves(lab, 0, 511, 0));
	TRY(lab_poke(lab, POKE_SHARE, WORK + 2 * MIB, GIB - WORK - 2 * MIB, 34 * MIB + PAGE_SIZE));
	return visit_huge(lab);
}

/* --- machine checks that cannot be taken ---------------------------------------------------- */

static const struct {
	uint64_t flags;
	uint64_t taken; /* before the one that ends it */
	const char *death;
} ends[] = {
	{ LOST_NO_MCE, 0, "it touched memory that is lost, with CR4.MCE clear" },
	{ LOST_STAY, 1, "it touched memory that is lost, within a machine check" },
	{ LOST_OFF, 0, "it touched memory that is lost, with bank 0 off" },
};

static const char *machine_check_shuts_down(struct lab *lab)
{
	const struct vcpu *vcpu = &lab->vm->vcpu[0];

	TRY(lose_three(lab));
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		uint64_t before = vcpu->stats.machine_checks;
		const char *why;

		TRY(visit(lab, ends[i].flags, RANGE_FRAMES));
		why = lab_finish(lab);
		MUST(why && vcpu->run == VCPU_DEAD, "the vCPU was not stopped");
		MUST(!strcmp(why, ends[i].death), why);
		MUST(vcpu->stats.machine_checks - before == ends[i].taken,
		     "machine checks: another number");
	}
	return NULL;
}

#define GATE_UD                                                                                    \
	(10 * 16 - 6 * 16) /* from the end of the page: guest/test/lost.c's table and vector */

static const char *machine_check_replaces_an_event(struct lab *lab)
{
	const struct vcpu *vcpu = &lab->vm->vcpu[0];
	uint64_t at = gfn_to_gpa(LOST + 1).v - GATE_UD;

	TRY(lab_fill_all(lab, LOST, LOST + 2, PG_LEVEL_4K));
	TRY(poison(lab, LOST));
	TRY(visit(lab, LOST_DELIVERY, 2));
	TRY(lab_finish(lab));
	MUST(vcpu->passes == 1, "machine checks: another number");
	MUST(vcpu->chain == chain_step(chain_begin(LOST_DELIVERY, 0), at),
	     "machine checks: other addresses");
	return NULL;
}

/* --- not here yet, write-protected, and one of them lost ------------------------------------ */

#define FEW 32 /* no more than the lab keeps requests */

static const char *lost_page_among_absent(struct lab *lab)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	const gfn_t lost = LOST + 7;

	MUST(!ept_unmap(me, LOST, RANGE_FRAMES, g), "it could not be unmapped");
	ept_sync(g);
	MUST(!ept_map(me, LOST, RANGE_FRAMES, backing_frame(&lab->vm->mem.backing, LOST),
		      EPT_R | EPT_X, EPT_WB, EPT_ABSENT),
	     "it could not be mapped again");
	TRY(poison(lab, lost));
	TRY(visit(lab, LOST_LOAD, FEW));
	TRY(lab_finish(lab));
	TRY(told(lab, LOST_LOAD, FEW, &lost, 1, 1));
	MUST(atomic_load(&lab->asked) == FEW - 1, "not each of the other pages was asked for");
	for (gfn_t gfn = LOST; gfn < LOST + FEW; gfn++) {
		struct ept_state e = ept_lookup(&lab->vm->mem.ept, gfn);

		MUST(e.kind == (gfn == lost ? EPT_POISON : EPT_PRESENT), "a page changed its kind");
		MUST(e.perms == (EPT_R | EPT_X), "a page lost its protection");
	}
	return NULL;
}

CASES_POISON(LAB_JOB)
