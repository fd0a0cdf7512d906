/* SPDX-License-Identifier: MIT */
/* In-machine cases in which vCPUs run while tables change under them, or race for a page. */
#include "tests/machine/cases.h"

#include "hv/base/clock.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define WORK   (8 * MIB)
#define RANGE  (WORK >> PAGE_SHIFT)
#define ROUNDS 40

/* --- readers ------------------------------------------------------------------------------ */

static struct ept_cpu *me(const struct lab *lab)
{
	return ept_cpu(&lab->vm->mem.ept, cpu_id());
}

static struct ept_gather *gather(const struct lab *lab)
{
	return &lab->vm->mem.gather[cpu_id()];
}

static uint64_t passes(const struct lab *lab)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < lab->vm->nvcpus; i++)
		n += vcpu_exits(&lab->vm->vcpu[i]);
	return n;
}

/* Lets the guest go on until it has made another pass or two. */
static const char *let_run(struct lab *lab)
{
	uint64_t before = passes(lab);

	while (passes(lab) < before + 2 * lab->vm->nvcpus) {
		MUST(lab_turn(lab), "the guest stands still");
		MUST(!lab->vm->over, "the guest ended");
	}
	return NULL;
}

static const char *split_and_collapse(struct lab *lab, gfn_t gfn)
{
	MUST(!ept_split(me(lab), gfn, PG_LEVEL_4K, EPT_WHY_ASKED, gather(lab)),
	     "it could not be split");
	ept_sync(gather(lab));
	TRY(lab_leaves(lab, 512, 511, 0));
	TRY(let_run(lab));
	lab_collapse(lab, 0, GIB_FRAMES);
	TRY(lab_leaves(lab, 0, 0, 1));
	return let_run(lab);
}

static const char *split_under_readers(struct lab *lab)
{
	struct ept_state leaf;

	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	/* The image is in that GiB: to load it is no fault. */
	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN | POKE_WRITE, WORK, GIB - WORK,
		      14 * MIB + PAGE_SIZE));
	for (unsigned int i = 0; i < ROUNDS; i++)
		TRY(split_and_collapse(lab, i % 2 ? i * RANGE_FRAMES : GIB_FRAMES - 1 - i));
	TRY(lab_finish(lab));
	MUST(!lab_faults(lab), "a vCPU left the guest for a page that was there");
	leaf = ept_lookup(&lab->vm->mem.ept, 0);
	MUST(leaf.level == PG_LEVEL_1G && leaf.accessed && leaf.dirty && leaf.perms == EPT_RWX &&
		     leaf.memtype == EPT_WB,
	     "the leaf's attributes were not kept");
	return NULL;
}

/* --- shootdown ---------------------------------------------------------------------------- */

#define SEEN_PAGES 4

static const char *run_for(struct lab *lab, uint64_t us)
{
	uint64_t until;

	while (!vm_all_ready(lab->vm))
		MUST(lab_turn(lab), "the guest was not ready in time");
	for (until = clock_now() + us_to_cycles(us); clock_now() < until;)
		MUST(lab_turn(lab), "the case's time is over");
	return NULL;
}

/* Every vCPU faults on the page that is gone. Who still saw its frame would find a wrong word. */
static const char *all_fault(struct lab *lab)
{
	while (!vm_over(lab->vm))
		MUST(lab_turn(lab), "a vCPU still reads the page");
	vm_stop(lab->vm);
	for (unsigned int i = 0; i < lab->vm->nvcpus; i++) {
		MUST(!lab->vm->vcpu[i].wrong_count, "a vCPU saw the frame after the flush");
		MUST(lab->vm->vcpu[i].run == VCPU_DEAD, "a vCPU did not fault");
	}
	return NULL;
}

static const char *take_away(struct lab *lab, gfn_t gfn)
{
	hpa_t frame = ept_lookup(&lab->vm->mem.ept, gfn).frame;

	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN | POKE_OFTEN, WORK, SEEN_PAGES * PAGE_SIZE,
		      PAGE_SIZE));
	TRY(run_for(lab, 2000));
	MUST(!ept_unmap(me(lab), gfn, 1, gather(lab)), "it could not be unmapped");
	ept_sync(gather(lab));
	lab_write(gfn, frame, true);
	TRY(all_fault(lab));
	MUST(!ept_map(me(lab), gfn, 1, frame, EPT_RWX, EPT_WB, EPT_ABSENT), "no way back");
	return lab_fill(lab, gfn, PG_LEVEL_4K);
}

static const char *unmapped_page_is_not_seen(struct lab *lab)
{
	TRY(lab_fill_all(lab, RANGE, RANGE + SEEN_PAGES, PG_LEVEL_4K));
	for (gfn_t i = 0; i < SEEN_PAGES; i++)
		TRY(take_away(lab, RANGE + i));
	return lab_poke(lab, POKE_SHARE, WORK, SEEN_PAGES * PAGE_SIZE, PAGE_SIZE);
}

/* --- freed tables ------------------------------------------------------------------------- */

static hpa_t table_below(const struct lab *lab, gfn_t gfn, enum pg_level level)
{
	uint64_t path[PG_LEVEL_MAX];

	ept_path(&lab->vm->mem.ept, gfn, path);
	return hpa(path[level] & lab->vm->mem.ept.fmt->addr);
}

static bool is_junk(hpa_t table)
{
	const uint8_t *byte = direct(table);

	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		if (byte[i] != FRAME_JUNK)
			return false;
	return true;
}

static const char *freed_tables_are_junk(struct lab *lab)
{
	uint64_t in_use;
	hpa_t table;

	TRY(lab_fill_all(lab, RANGE, RANGE + RANGE_FRAMES, PG_LEVEL_4K));
	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN | POKE_WRITE, WORK, 2 * MIB,
		      3 * PAGE_SIZE));
	TRY(let_run(lab));
	table = table_below(lab, RANGE, PG_LEVEL_2M);
	in_use = machine_tables.in_use;
	MUST(ept_collapse(me(lab), RANGE, PG_LEVEL_2M, gather(lab)) == 1, "it did not collapse");
	MUST(machine_tables.in_use == in_use && gather(lab)->n == 1,
	     "the table was freed before the flush");
	MUST(!is_junk(table), "the table was overwritten before the flush");
	ept_sync(gather(lab));
	MUST(machine_tables.in_use == in_use - 1, "the table was not freed after the flush");
	MUST(is_junk(table), "the freed table is not junk");
	TRY(let_run(lab)); /* a CPU that still walked it would meet an EPT misconfiguration */
	TRY(lab_finish(lab));
	MUST(is_junk(table), "somebody wrote to a table after it was freed");
	MUST(!lab_faults(lab), "the guest faulted");
	return NULL;
}

/* --- faults at once ----------------------------------------------------------------------- */

/* Do all vCPUs wait for the page? */
static bool all_wait_for(const struct lab *lab, gfn_t gfn)
{
	for (unsigned int i = 0; i < lab->vm->nvcpus; i++) {
		const struct vcpu *vcpu = &lab->vm->vcpu[i];

		if (__atomic_load_n(&vcpu->run, __ATOMIC_ACQUIRE) != VCPU_WAITING ||
		    __atomic_load_n(&vcpu->wait_gfn, __ATOMIC_ACQUIRE) != gfn)
			return false;
	}
	return true;
}

#define SAME_PAGES 8

static const char *same_page_by_all_vcpus(struct lab *lab)
{
	struct ept_stats before, after;

	TRY(lab_warm_up(lab));
	before = lab_stats(lab);
	TRY(lab_start(lab, "poke", POKE_ALL, WORK, SAME_PAGES * PAGE_SIZE, PAGE_SIZE));
	for (gfn_t gfn = RANGE; gfn < RANGE + SAME_PAGES; gfn++) {
		while (!all_wait_for(lab, gfn))
			MUST(lab_turn(lab), "the vCPUs do not all wait for the page");
		MUST(lab->asked == gfn - RANGE + 1, "one page was asked for more than once");
		lab_place(lab, gfn);
	}
	TRY(lab_finish(lab));
	after = lab_stats(lab);
	MUST(lab->asked == SAME_PAGES && after.requests == before.requests + SAME_PAGES,
	     "requests differ from the pages");
	MUST(lab_faults(lab) == SAME_PAGES * lab->vm->nvcpus, "not each vCPU faulted once");
	/* lab_finish() sends each again, which must change nothing. */
	MUST(after.arrivals == before.arrivals + SAME_PAGES, "a page was filled more than once");
	return NULL;
}

static const char *one_table_for_one_range(struct lab *lab)
{
	unsigned int n = lab->vm->nvcpus;
	struct ept_stats before, after;

	TRY(lab_warm_up(lab));
	before = lab_stats(lab);
	TRY(lab_poke(lab, POKE_SHARE, WORK, 16 * n * PAGE_SIZE, PAGE_SIZE));
	after = lab_stats(lab);
	MUST(after.requests == before.requests + 16 * n, "not each page was asked for once");
	MUST(after.splits_absent == before.splits_absent + 1, "the range was split more than once");
	MUST(after.tables == before.tables + 1, "not exactly one table is linked");
	MUST(machine_tables.in_use == (uint64_t)after.tables, "a table is linked nowhere");
	return NULL;
}

/* --- duplicates --------------------------------------------------------------------------- */

static const char *send_spoilt(struct lab *lab)
{
	struct pager_stats before, after;

	pager_sum(&lab->vm->mem, &before);
	lab->spoilt = true;
	for (gfn_t gfn = RANGE; gfn < RANGE + 16; gfn++)
		lab_place(lab, gfn);
	lab->spoilt = false;
	pager_sum(&lab->vm->mem, &after);
	MUST(after.duplicates == before.duplicates + 16, "duplicates are not counted");
	MUST(after.data_frames == before.data_frames, "a duplicate was placed");
	return NULL;
}

static const char *duplicate_arrival(struct lab *lab)
{
	lab->at_hand = true;
	TRY(lab_poke(lab, POKE_SHARE, WORK, 16 * PAGE_SIZE, PAGE_SIZE));
	TRY(send_spoilt(lab));
	TRY(lab_poke(lab, POKE_SHARE | POKE_WRITE, WORK, 16 * PAGE_SIZE, PAGE_SIZE));
	TRY(send_spoilt(lab));
	return lab_poke(lab, POKE_SHARE, WORK, 16 * PAGE_SIZE, PAGE_SIZE);
}

/* --- latency ------------------------------------------------------------------------------ */

static const char *latency_histogram_adds_up(struct lab *lab)
{
	uint64_t sum = 0, waits = 0;

	TRY(lab_poke(lab, POKE_SHARE, WORK, 48 * PAGE_SIZE, PAGE_SIZE));
	for (unsigned int i = 0; i < lab->vm->nvcpus; i++) {
		waits += lab->vm->vcpu[i].stats.wait.waits;
		for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
			sum += lab->vm->vcpu[i].stats.wait.latency[b];
	}
	MUST(waits == 48 && lab->asked == 48, "waits differ from the pages");
	MUST(sum == waits, "the histogram's sum differs from the waits");
	return NULL;
}

CASES_RACES(LAB_JOB)
