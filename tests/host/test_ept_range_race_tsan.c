/* SPDX-License-Identifier: MIT */
/*
 * Four CPUs at once on the real geometry, under TSan: what changes ranges, notes writes, moves
 * backing and executes, with hardware walks that remember what they saw until the flush.
 *
 * What a page holds is a plain variable, which only who owns the page may write: who claimed it, or
 * who froze it and has flushed. So a page with two owners is a data race.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ept/access.h"
#include "ept/range.h"
#include "ept/relocate.h"
#include "ept/track.h"
#include "tests/host/model/crowd.h"

#define F_2M   512u
#define PIECES 4u /* of 2 MiB are under work */
#define PAGES  (PIECES * F_2M)
#define ROUNDS 6000u

static struct crowd crowd;
static uint32_t contents[PAGES];
static uint8_t written[CROWD_CPUS][PAGES]; /* by this CPU's hardware since it was marked */

static int begin(void **state)
{
	(void)state;
	crowd_init(&crowd, &ept_format_intel, CROWD_TABLES, 11);
	memset(contents, 0, sizeof(contents));
	memset(written, 0, sizeof(written));
	return ept_map(ept_cpu(&crowd.ept, 0), 0, PAGES, hpa(CROWD_BACKING), EPT_RWX, EPT_WB,
		       EPT_PRESENT);
}

static int begin_nx(void **state)
{
	(void)state;
	crowd_init(&crowd, &ept_format_amd, CROWD_TABLES, 12);
	ept_set_nx(&crowd.ept);
	return ept_map(ept_cpu(&crowd.ept, 0), 0, PAGES, hpa(CROWD_BACKING), EPT_RWX, EPT_WB,
		       EPT_PRESENT);
}

static int end(void **state)
{
	(void)state;
	crowd_fini(&crowd);
	return 0;
}

static void run(void (*work)(struct crowd_cpu *))
{
	const char *fault = crowd_run(&crowd, work);
	const char *wrong;
	gfn_t where;

	if (fault)
		print_error("%s\n", fault);
	assert_null(fault);
	wrong = ept_check(&crowd.ept, &where);
	if (wrong)
		print_error("at %lu: %s\n", (long)where, wrong);
	assert_null(wrong);
}

/* --- what a CPU does --- */

/* Anything but these answers is wrong. */
static void answered(struct crowd_cpu *cpu, const char *what, int r, int fine)
{
	if (r < 0 && r != EPT_BUSY && r != fine)
		crowd_fail(cpu, "%s returned %d", what, r);
}

static void relocate(struct crowd_cpu *cpu, gfn_t gfn, enum pg_level level)
{
	struct ept_frozen f;
	int r = ept_freeze(cpu->me, gfn, level, EPT_WHY_COW, &f, &cpu->gather);

	if (r == EPT_NOT_HERE || r == EPT_SMALLER)
		return;
	answered(cpu, "freeze", r, EPT_BUSY);
	if (r)
		return;
	ept_sync(&cpu->gather);
	for (uint64_t i = 0; i < level_frames(level); i++)
		contents[gfn + i]++;
	(void)ept_thaw(cpu->me, &f, f.was.frame);
}

static void discard(struct crowd_cpu *cpu, gfn_t gfn)
{
	struct ept_claim claim;
	int r = ept_discard(cpu->me, gfn, 1, &cpu->gather);

	answered(cpu, "discard", r, EPT_BUSY);
	ept_sync(&cpu->gather);
	crowd_pause(cpu);
	r = ept_fill_zero(cpu->me, gfn, PG_LEVEL_4K, &claim);
	answered(cpu, "fill_zero", r, EPT_HERE);
	if (r)
		return;
	contents[gfn] = 0;
	(void)ept_publish(cpu->me, &claim);
}

static void access(struct crowd_cpu *cpu, gfn_t gfn, unsigned int perms)
{
	unsigned int ways = tlb_ways_of(&cpu->tlb, crowd.ept.fmt, gfn, perms);
	struct tlb_access a;
	enum tlb_outcome o = tlb_access(&cpu->tlb, &crowd.ept, gfn, perms,
					(unsigned int)crowd_random(cpu, ways), &a);

	if (o == TLB_FAULT)
		crowd_fail(cpu, "hardware refuses an entry of page %lu", (long)gfn);
	if (o == TLB_HIT && a.frame != CROWD_BACKING + (gfn << PAGE_SHIFT))
		crowd_fail(cpu, "hardware found page %lu at a wrong frame", (long)gfn);
	if (o == TLB_HIT && perms & EPT_X && crowd.ept.nx && a.level > PG_LEVEL_4K)
		crowd_fail(cpu, "page %lu was executed in a large leaf", (long)gfn);
	if (o == TLB_HIT && perms & EPT_W)
		written[cpu->id][gfn] = 1;
	if (o == TLB_HIT)
		return;
	crowd_pause(cpu);
	o = (enum tlb_outcome)ept_resolve(cpu->me, gfn, perms, &cpu->gather);
	if ((int)o != EPT_NOT_HERE && (int)o != EPT_FORBIDDEN)
		answered(cpu, "resolve", (int)o, EPT_BUSY);
}

static void reach(struct crowd_cpu *cpu, gfn_t gfn)
{
	hpa_t at;
	int r = ept_reach(cpu->me, gfn, crowd_random(cpu, 2) ? EPT_W : EPT_R, &at, &cpu->gather);

	if (r != EPT_FORBIDDEN && r != EPT_DISCARDED)
		answered(cpu, "reach", r, EPT_NOT_HERE);
}

/* Only some of it, so that others find work. */
static void recover(struct crowd_cpu *cpu)
{
	gfn_t next = F_2M * crowd_random(cpu, PIECES);

	(void)ept_recover_nx(cpu->me, &next, PAGES, 1, &cpu->gather);
}

static void bustle(struct crowd_cpu *cpu)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		gfn_t gfn = crowd_random(cpu, 4) ? crowd_random(cpu, 16) : crowd_random(cpu, PAGES);
		gfn_t piece = ALIGN_DOWN(gfn, F_2M);

		switch (crowd_random(cpu, 32)) {
		case 0:
			answered(cpu, "protect", ept_protect(cpu->me, gfn, 1, EPT_R, &cpu->gather),
				 EPT_BUSY);
			break;
		case 1 ... 2:
			answered(cpu, "protect",
				 ept_protect(cpu->me, piece, F_2M, EPT_RWX, &cpu->gather),
				 EPT_BUSY);
			break;
		case 3 ... 4:
			discard(cpu, gfn);
			break;
		case 5 ... 6:
			relocate(cpu, gfn, PG_LEVEL_4K);
			break;
		case 7:
			relocate(cpu, piece, PG_LEVEL_2M);
			break;
		case 8 ... 9:
			(void)!ept_collapse(cpu->me, gfn, PG_LEVEL_2M, &cpu->gather);
			break;
		case 10:
			(void)!ept_split(cpu->me, gfn, PG_LEVEL_4K, EPT_WHY_ASKED, &cpu->gather);
			break;
		case 11 ... 12:
			reach(cpu, gfn);
			break;
		case 13:
			ept_sync(&cpu->gather);
			break;
		case 14:
			recover(cpu);
			break;
		default:
			access(cpu, gfn, crowd_random(cpu, 2) ? EPT_W : EPT_X);
			break;
		}
		crowd_pause(cpu);
	}
}

static void each_page_has_one_owner_at_a_time(void **state)
{
	struct ept_stats s;

	(void)state;
	run(bustle);
	ept_stats_sum(&crowd.ept, &s);
	assert_true(s.collapses > 10);
	assert_true(s.discarded > 100);
	assert_true(s.splits_present > 10);
	assert_int_equal(s.tables_freed, s.collapses);
}

static void no_page_is_executed_in_a_large_leaf(void **state)
{
	struct ept_stats s;

	(void)state;
	run(bustle);
	ept_stats_sum(&crowd.ept, &s);
	assert_true(s.nx_splits > 10);
}

/* --- tracking, in rounds --- */

static uint64_t reported[PAGES / 64];

/* CPU 0 collects while the others write; what they wrote is in this collection or in the last. */
static void write_and_collect(struct crowd_cpu *cpu)
{
	gfn_t next = 0;

	if (cpu->id == 0) {
		if (ept_track_begin(&crowd.ept, EPT_TRACK_WRITES))
			crowd_fail(cpu, "tracking did not begin");
		while (next < PAGES) {
			answered(cpu, "track_some",
				 ept_track_some(cpu->me, &next, PAGES, 700, &cpu->gather),
				 EPT_BUSY);
			crowd_pause(cpu);
		}
		ept_sync(&cpu->gather);
	}
	crowd_meet(cpu);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		gfn_t gfn = crowd_random(cpu, PAGES);

		if (cpu->id == 0 && i % 100 == 0) {
			(void)ept_track_collect(cpu->me, 0, PAGES, reported, &cpu->gather);
			ept_sync(&cpu->gather);
		} else if (cpu->id == 1 && i % 16 == 0) {
			relocate(cpu, gfn, PG_LEVEL_4K);
		} else if (cpu->id && gfn % 3 == 0) {
			access(cpu, gfn, EPT_W);
		}
		(void)!ept_collapse(cpu->me, gfn, PG_LEVEL_2M, &cpu->gather);
		crowd_pause(cpu);
	}
	crowd_meet(cpu);
	if (cpu->id)
		return;
	(void)ept_track_collect(cpu->me, 0, PAGES, reported, &cpu->gather);
	ept_sync(&cpu->gather);
}

static void no_write_is_missed_whoever_freezes_and_collapses(void **state)
{
	(void)state;
	memset(reported, 0, sizeof(reported));
	run(write_and_collect);
	for (gfn_t gfn = 0; gfn < PAGES; gfn++) {
		bool wrote = false;

		for (unsigned int i = 0; i < CROWD_CPUS; i++)
			wrote |= written[i][gfn];
		/* A write may have been noted that was never made, but not of a page that nobody
		 * tried. */
		if (wrote || gfn % 3)
			assert_int_equal(reported[gfn / 64] >> gfn % 64 & 1, wrote);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_page_has_one_owner_at_a_time, begin, end),
		cmocka_unit_test_setup_teardown(no_page_is_executed_in_a_large_leaf, begin_nx, end),
		cmocka_unit_test_setup_teardown(no_write_is_missed_whoever_freezes_and_collapses,
						begin, end),
	};

	return cmocka_run_group_tests_name("many CPUs at once: ranges and accesses", tests, NULL,
					   NULL);
}
