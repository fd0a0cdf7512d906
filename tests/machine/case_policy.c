/* SPDX-License-Identifier: MIT */
/* In-machine cases of the policies: what each collapses, and when, by the counters. */
#include "hv/base/console.h"
#include "hv/migrate/stream.h"
#include "mm/percpu.h"
#include "tests/machine/cases.h"
#include "tests/machine/lab.h"

#define WORK  (16 * MIB) /* where guests look, behind their image */
#define FIRST (WORK >> PAGE_SHIFT)

static const struct policy *begin(struct lab *lab, enum config_policy which)
{
	struct memory *mem = &lab->vm->mem;
	const struct policy *policy = policy_of(which);

	policy->begin(mem, &lab->config);
	mem->pager.policy = policy;
	return policy;
}

static void place(struct lab *lab, gfn_t gfn, uint64_t frames)
{
	for (uint64_t i = 0; i < frames; i++)
		lab_place(lab, gfn + i);
}

static struct pager_stats counters(const struct lab *lab)
{
	struct pager_stats s;

	pager_sum(&lab->vm->mem, &s);
	return s;
}

/* Ranges of [gfn, end) that are one leaf. */
static unsigned int large_of(const struct lab *lab, gfn_t gfn, gfn_t end)
{
	unsigned int n = 0;

	for (; gfn < end; gfn += RANGE_FRAMES)
		n += ept_lookup(&lab->vm->mem.ept, gfn).level >= PG_LEVEL_2M;
	return n;
}

/* --- hot ----------------------------------------------------------------------------------- */

#define QUARTER (4 * RANGE_FRAMES)

static uint64_t passes(const struct lab *lab)
{
	return __atomic_load_n(&lab->vm->vcpu[0].passes, __ATOMIC_RELAXED);
}

/* The guest has its say between two steps, however slow its CPU is. */
static const char *step_until_found(struct lab *lab, const struct policy *hot, uint64_t found)
{
	while (counters(lab).found_hot < found) {
		uint64_t n = passes(lab);

		(void)hot->step(&lab->vm->mem, cpu_id());
		while (passes(lab) < n + 2)
			MUST(lab_turn(lab) && !lab->vm->over, "what is hot was not found in time");
	}
	return NULL;
}

/* 16 ranges, of which the guest uses 4: the others are complete before these are. */
static const char *hot_collapses_before_cold(struct lab *lab)
{
	gfn_t end = FIRST + 4 * QUARTER, from = FIRST + lab->config.seed % 4 * QUARTER;
	struct memory *mem = &lab->vm->mem;
	const struct policy *hot;

	lab->at_hand = true;
	hot = begin(lab, POLICY_HOT);
	place(lab, FIRST, from - FIRST);
	place(lab, from + QUARTER, end - from - QUARTER);
	place(lab, from, QUARTER);
	MUST(counters(lab).put_off == 16 && !counters(lab).collapsed,
	     "complete ranges were not put off");
	TRY(lab_start(lab, "hot", lab->config.seed, WORK, 32 * MIB, PAGE_SIZE));
	while (!vm_all_ready(lab->vm))
		MUST(lab_turn(lab), "the guest was not ready in time");
	TRY(step_until_found(lab, hot, 3));
	con_printf("cleave: the first 3 ranges that collapsed: %u of the hot, %u of the cold\n",
		   large_of(lab, from, from + QUARTER),
		   large_of(lab, FIRST, end) - large_of(lab, from, from + QUARTER));
	MUST(large_of(lab, from, from + QUARTER) == 3 && large_of(lab, FIRST, end) == 3,
	     "a cold range collapsed before the hot ones");
	while (hot->finish(mem, cpu_id()))
		;
	MUST(large_of(lab, FIRST, end) == 16, "a cold range never collapsed");
	ept_sync(mem_gather(mem));
	return lab_finish(lab);
}

/* --- idle ---------------------------------------------------------------------------------- */

static const char *wait_for_a_waiter(struct lab *lab)
{
	while (!lab->vm->mem.waited_for(&lab->vm->mem))
		MUST(lab_turn(lab), "the guest did not wait for its page");
	return NULL;
}

/* The range is complete while a vCPU waits for a page of another one. */
static const char *idle_waits_for_the_waiting(struct lab *lab)
{
	const gfn_t range = FIRST + RANGE_FRAMES;
	struct memory *mem = &lab->vm->mem;
	const struct policy *idle;

	TRY(lab_warm_up(lab));
	idle = begin(lab, POLICY_IDLE);
	TRY(lab_start(lab, "poke", POKE_SHARE, WORK, PAGE_SIZE, PAGE_SIZE));
	TRY(wait_for_a_waiter(lab));
	place(lab, range, RANGE_FRAMES);
	for (unsigned int i = 0; i < 100; i++)
		MUST(!idle->step(mem, cpu_id()) && lab_turn(lab), "a step found something to do");
	MUST(counters(lab).put_off == 1 && counters(lab).held_back == 100 &&
		     !counters(lab).collapsed && !large_of(lab, range, range + RANGE_FRAMES),
	     "it collapsed while a vCPU waited");
	TRY(lab_finish(lab));
	MUST(idle->step(mem, cpu_id()) && counters(lab).held_back == 100 &&
		     large_of(lab, range, range + RANGE_FRAMES) == 1,
	     "it did not collapse when nobody waited");
	ept_sync(mem_gather(mem));
	return NULL;
}

/* --- density ------------------------------------------------------------------------------- */

static void look_around(struct lab *lab, const struct policy *density, struct stream *stream)
{
	for (unsigned int i = 0; i < 64; i++) {
		(void)density->step(&lab->vm->mem, cpu_id());
		(void)stream_step(stream, cpu_id());
	}
}

/* Were just these pages asked for? They are placed, as answers. */
static const char *answer_just(struct lab *lab, gfn_t gfn, uint64_t frames)
{
	for (unsigned int i = 0; i < lab->asked && i < LAB_ASKED; i++) {
		MUST(lab->asked_gfn[i] == gfn, "another page was asked for");
		place(lab, gfn, lab->asked_frames[i]);
		gfn += lab->asked_frames[i];
		frames -= lab->asked_frames[i];
	}
	MUST(!frames, "not all of the range was asked for");
	return NULL;
}

/* No guest runs, and the stream stands still: whoever asks does so for density's sake. */
static const char *density_fetches_the_rest(struct lab *lab)
{
	static struct stream stream;
	const struct policy *density = begin(lab, POLICY_DENSITY);
	uint64_t n = lab->config.density;
	const gfn_t range = FIRST + RANGE_FRAMES;

	stream_init(&stream, &lab->vm->mem, &lab->config, NULL);
	stream_set_rate(&stream, 0);
	place(lab, FIRST, n - 1);
	place(lab, range, n - 1);
	look_around(lab, density, &stream);
	MUST(!lab->asked, "something was asked for before a range was dense");
	place(lab, range + n - 1, 1);
	look_around(lab, density, &stream);
	TRY(answer_just(lab, range + n, RANGE_FRAMES - n));
	MUST(counters(lab).fetched == RANGE_FRAMES - n && !counters(lab).asked,
	     "the counters say otherwise");
	MUST(large_of(lab, range, range + RANGE_FRAMES) == 1, "it did not collapse");
	MUST(!large_of(lab, FIRST, range) && !lab_faults(lab), "something else happened");
	ept_sync(mem_gather(&lab->vm->mem));
	return NULL;
}

CASES_POLICY(LAB_JOB)
