/* SPDX-License-Identifier: MIT */
/* In-machine cases of what is noted while the guest runs: writes, fetches, and how long it waits.
 */
#include "tests/machine/cases.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/vm/dirty_log.h"
#include "hv/mem/guest_memory.h"
#include "mm/err.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define WORK   (8 * MIB)
#define FIRST  (WORK >> PAGE_SHIFT)
#define PAGES  2048 /* of the work area */
#define ROUNDS 8
#define STEP   4096 /* entries of one step of splitting ahead */

/* Everything arrives, in leaves as large as the backing. */
static const char *arrive(struct lab *lab)
{
	return lab_fill_all(lab, 0, lab->vm->mem.frames, lab->vm->mem.backing.level);
}

static int64_t leaves_of(const struct lab *lab, enum pg_level level)
{
	return level == lab->vm->mem.backing.level
		       ? (int64_t)(lab->vm->mem.frames / level_frames(level))
		       : 0;
}

static const char *all_large(const struct lab *lab)
{
	return lab_leaves(lab, leaves_of(lab, PG_LEVEL_4K), leaves_of(lab, PG_LEVEL_2M),
			  leaves_of(lab, PG_LEVEL_1G));
}

/* --- the guest's writes -------------------------------------------------------------------- */

static uint64_t bitmap[GIB_FRAMES / 64];
static uint64_t known[PAGES]; /* what was in each page when it was last reported */
static uint64_t first[PAGES]; /* and before the guest began */

static const char *let_run(struct lab *lab, uint64_t us)
{
	for (uint64_t until = clock_now() + us_to_cycles(us); clock_now() < until;)
		MUST(lab_turn(lab) && !lab->vm->over, "the guest does not go on");
	return NULL;
}

/* Until each vCPU has ended one more burst of writes. Where an exit takes long, a time would be
 * over before the guest has done anything. */
static const char *let_write(struct lab *lab)
{
	for (unsigned int i = 0; i < lab->vm->nvcpus; i++) {
		const uint64_t *passes = &lab->vm->vcpu[i].passes;
		uint64_t before = __atomic_load_n(passes, __ATOMIC_RELAXED);

		while (__atomic_load_n(passes, __ATOMIC_RELAXED) == before)
			MUST(lab_turn(lab) && !lab->vm->over, "the guest does not go on");
	}
	return NULL;
}

/* Until the guest has made its first call between writes, and a little longer. */
static const char *let_begin(struct lab *lab)
{
	for (unsigned int i = 0; i < lab->vm->nvcpus; i++)
		while (!__atomic_load_n(&lab->vm->vcpu[i].chain, __ATOMIC_ACQUIRE))
			MUST(lab_turn(lab) && !lab->vm->over, "the guest does not begin");
	return let_run(lab, 1000);
}

static const char *word_of_page(struct lab *lab, gfn_t gfn, uint64_t *word)
{
	return guest_read(&lab->vm->mem, gfn_to_gpa(gfn), word, sizeof(*word), GUEST_WAIT)
		       ? "a page could not be read"
		       : NULL;
}

/* Takes the reported pages' contents, as a migration would. *n: pages of the work area. */
static const char *take_reported(struct lab *lab, uint64_t *n)
{
	*n = 0;
	for (gfn_t i = 0; i < PAGES; i++) {
		gfn_t gfn = FIRST + i;

		if (!(bitmap[gfn / 64] >> gfn % 64 & 1))
			continue;
		TRY(word_of_page(lab, gfn, &known[i]));
		++*n;
	}
	return NULL;
}

static uint64_t collect(struct dirty_log *d)
{
	__builtin_memset(bitmap, 0, sizeof(bitmap));
	return dirty_collect(d, bitmap);
}

static const char *split_ahead(struct lab *lab, struct dirty_log *d)
{
	unsigned int steps = 0;
	int r;

	while ((r = dirty_step(d, STEP)) == 0) {
		MUST(lab_turn(lab), "splitting ahead does not end");
		steps++;
	}
	MUST(r == 1, "splitting ahead failed");
	MUST(steps >= lab->vm->mem.frames / STEP, "a step did more than its budget");
	MUST(lab_stats(lab).pages_4k == (int64_t)lab->vm->mem.frames, "something is still large");
	return NULL;
}

/* The guest stands still: every page is known as it is, and the guest's own log says the same. */
static const char *nothing_was_missed(struct lab *lab)
{
	gpa_t log = gpa(lab->vm->vcpu[0].chain);

	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t now, logged;

		TRY(word_of_page(lab, FIRST + i, &now));
		MUST(known[i] == now, "a write was missed");
		MUST(!guest_read(&lab->vm->mem, gpa(log.v + 8 + i * 8), &logged, 8, GUEST_WAIT),
		     "the guest's log could not be read");
		MUST(now - first[i] == logged, "the guest's log differs from what it wrote");
	}
	return NULL;
}

static const char *refused_while_tracked(struct lab *lab)
{
	struct ept_collapse_result r = lab_collapse(lab, FIRST, RANGE_FRAMES);

	MUST(r.refused[ept_nr(EPT_MIXED)] == 1 && !r.collapsed, "what is tracked collapsed");
	return NULL;
}

/* Back to one leaf in place, with the guest running. */
static const char *recover(struct lab *lab, struct dirty_log *d)
{
	uint64_t flushes = lab->vm->mem.tlb.generation;
	struct ept_collapse_result r;

	dirty_end(d, &r);
	flushes = lab->vm->mem.tlb.generation - flushes;
	con_printf("cleave: recovered %llu MiB with %llu flushes\n",
		   (unsigned long long)(lab->config.region / MIB), (unsigned long long)flushes);
	MUST(r.collapsed >= lab->vm->mem.frames / RANGE_FRAMES, "not all became large again");
	MUST(flushes <= 8, "recovery took more than 8 flushes");
	return all_large(lab);
}

static const char *track(struct lab *lab, enum dirty_how how)
{
	uint64_t n, sum = 0, looked = 0;
	struct dirty_log d, second;

	TRY(arrive(lab));
	for (uint64_t i = 0; i < PAGES; i++)
		TRY(word_of_page(lab, FIRST + i, &first[i]));
	__builtin_memcpy(known, first, sizeof(known));
	/* An eighth of the pages is written, the others never. */
	TRY(lab_start(lab, "mark", 32, WORK, PAGES * PAGE_SIZE, PAGE_SIZE));
	TRY(let_begin(lab));
	MUST(!dirty_begin(&d, lab->vm, how), "tracking could not begin");
	MUST(dirty_begin(&second, lab->vm, how) == -EBUSY, "a second log was begun");
	TRY(split_ahead(lab, &d));
	TRY(refused_while_tracked(lab));
	MUST(collect(&d) >= 1, "nothing was dirty at first");
	TRY(take_reported(lab, &n));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		TRY(let_write(lab));
		(void)collect(&d);
		TRY(take_reported(lab, &n));
		MUST(n <= PAGES / 8 + lab->vm->nvcpus, "pages were reported that nobody wrote");
		sum += n;
		looked += d.looked;
	}
	MUST(sum, "no write was noted");
	con_printf("cleave: dirty log by %s: %llu pages in %u rounds, %llu entries looked at\n",
		   dirty_how_name(d.how), (unsigned long long)sum, ROUNDS,
		   (unsigned long long)looked);
	MUST(how != DIRTY_LOG || looked < sum * 2 + ROUNDS * 64,
	     "the log was not what it looked at");
	TRY(lab_finish(lab));
	(void)collect(&d);
	TRY(take_reported(lab, &n));
	TRY(nothing_was_missed(lab));
	MUST(collect(&d) == 0, "nobody writes, and pages are dirty");
	TRY(lab_start(lab, "mark", 32, WORK, PAGES * PAGE_SIZE, PAGE_SIZE));
	TRY(recover(lab, &d));
	return lab_finish(lab);
}

static const char *dirty_log_by_writes(struct lab *lab)
{
	return track(lab, DIRTY_WRITES);
}

static const char *dirty_log_by_bits(struct lab *lab)
{
	return track(lab, DIRTY_BITS);
}

static const char *dirty_log_by_log(struct lab *lab)
{
	struct dirty_log d;

	if (vendor->has_log)
		return track(lab, DIRTY_LOG);
	MUST(dirty_begin(&d, lab->vm, DIRTY_LOG) == -ENODEV, "a log that this CPU does not have");
	return NULL;
}

/* --- fetches ------------------------------------------------------------------------------- */

#define EXECUTED 5                          /* ranges of 2 MiB, each in one page, */
#define APART    (34 * MIB + 5 * PAGE_SIZE) /* so far from each other */

/* Lets the guest run until so many leaves were split because it executed there. */
static const char *executed(struct lab *lab, int64_t splits)
{
	while (lab_stats(lab).nx_splits < splits)
		MUST(lab_turn(lab) && !lab->vm->over, "large leaves are executed");
	return let_run(lab, 1000);
}

static const char *executed_leaves_are_split(struct lab *lab)
{
	struct ept_stats before, after;

	MUST(lab->vm->mem.ept.nx, "the rule is not on");
	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	TRY(lab_leaves(lab, 0, 0, 1));
	TRY(lab_start(lab, "exec", 0, WORK, EXECUTED * APART, APART));
	TRY(executed(lab, EXECUTED + 1));
	/* The payload's own range, and those that it executed in: all others stay as they were. */
	TRY(lab_leaves(lab, (EXECUTED + 1) * 512, 511 - EXECUTED, 0));
	before = lab_stats(lab);
	MUST(before.nx_splits == EXECUTED + 1, "splits differ from what was executed");
	MUST(lab_collapse(lab, 0, GIB_FRAMES).refused[ept_nr(EPT_EXECUTED)] == EXECUTED + 1,
	     "what is executed collapsed");
	/* Under load: what is executed again is split again. */
	MUST(guest_recover_nx(&lab->vm->mem) >= EXECUTED, "nothing was recovered");
	TRY(executed(lab, before.nx_splits + EXECUTED));
	after = lab_stats(lab);
	TRY(lab_finish(lab));
	(void)guest_recover_nx(&lab->vm->mem);
	TRY(lab_leaves(lab, 0, 0, 1));
	con_printf("cleave: %lld splits by fetches\n", (long long)after.nx_splits);
	return NULL;
}

/* --- waiting ------------------------------------------------------------------------------- */

/* An emulator on a machine with other work may stand still for long. */
#define LONGEST_US 1000000

/* A worker splits and collapses all the time; how long does a write of the guest take? */
static const char *longest_fault_while_collapsing(struct lab *lab)
{
	struct ept_split_result split;
	uint64_t longest;

	TRY(arrive(lab));
	TRY(lab_start(lab, "mark", 256, WORK, PAGES * PAGE_SIZE, PAGE_SIZE));
	TRY(let_begin(lab));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];

		ept_split_range(ept_cpu(&lab->vm->mem.ept, cpu_id()), FIRST, PAGES, PG_LEVEL_4K,
				EPT_WHY_ASKED, g, &split);
		ept_sync(g);
		MUST(!guest_protect(&lab->vm->mem, FIRST, PAGES, EPT_R | EPT_W), "protect");
		TRY(let_write(lab));
		MUST(!guest_protect(&lab->vm->mem, FIRST, PAGES, EPT_RWX), "protect");
		MUST(lab_collapse(lab, 0, lab->vm->mem.frames).collapsed >= PAGES / 512,
		     "no collapse");
	}
	TRY(lab_finish(lab));
	MUST(!guest_read(&lab->vm->mem, gpa(lab->vm->vcpu[0].chain), &longest, 8, GUEST_WAIT),
	     "no log");
	con_printf("cleave: longest write while collapsing: %llu cycles, %llu us, in %u rounds\n",
		   (unsigned long long)longest, (unsigned long long)cycles_to_us(longest), ROUNDS);
	MUST(longest && cycles_to_us(longest) < LONGEST_US, "a write took too long");
	return NULL;
}

CASES_TRACK(LAB_JOB)
