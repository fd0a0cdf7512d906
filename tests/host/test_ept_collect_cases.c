/* SPDX-License-Identifier: MIT */
/* Which tables a collection of dirty pages looks into. Each test's name is the claim. */
#include <string.h>

#include "ept/track.h"
#include "tests/host/ept_case.h"

static uint64_t bitmap[F_1G / 64];

static struct ept_cpu *me(void)
{
	return ept_cpu(&w.ept, 0);
}

static void track(unsigned int frames, bool by_faults)
{
	step((struct step){ .code = STEP_TRACK, .frames = frames, .write = by_faults });
	if (w.gather.owed)
		at(STEP_SYNC, 0, PG_LEVEL_NONE);
}

/* The model has its own log, of which these collections tell it nothing. */
static void forget_what_was_logged(void)
{
	for (unsigned int gfn = 0; gfn < F_1G; gfn++)
		w.ref.page[gfn].logged = false;
}

static uint64_t collect(unsigned int frames)
{
	memset(bitmap, 0, sizeof(bitmap));
	return ept_track_collect(me(), 0, frames, bitmap, &w.gather);
}

/* By a pointer that the CPU remembers it marks the page, and not the slot that was walked for it.
 */
static void no_write_is_missed_by_a_collection_that_skips_tables(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	track(F_1G, false);
	for (unsigned int round = 0; round < 3; round++) {
		unsigned int gfn = 3 * F_2M + round;
		uint64_t path[PG_LEVEL_MAX];

		touch(gfn, false, 0);
		assert_int_equal(collect(F_1G), 0);
		assert_true(w.gather.owed);
		touch(gfn, true, 3); /* the way of the pointer that was remembered last */
		ept_path(&w.ept, gfn, path);
		assert_false(path[PG_LEVEL_2M] & format->accessed);
		assert_true(ept_lookup(&w.ept, gfn).dirty);
		ept_sync(&w.gather);
		assert_int_equal(collect(F_1G), 1);
		ept_sync(&w.gather);
		assert_int_equal(collect(F_1G), 0);
		ept_sync(&w.gather);
		touch(gfn, true, 0);
		assert_int_equal(collect(F_1G), 1);
		ept_sync(&w.gather);
		/* The hypervisor's own accesses leave no mark in the slot. */
		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(collect(F_1G), 0);
			ept_sync(&w.gather);
		}
		step((struct step){ .code = STEP_REACH, .gfn = gfn, .write = true });
		assert_int_equal(collect(F_1G), 1);
		ept_sync(&w.gather);
	}
	forget_what_was_logged();
}

/* Two collections without a flush between them are against the rules; no write is lost by that. */
static void a_collection_before_the_flush_calls_nothing_quiet(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	track(F_1G, false);
	touch(5, false, 0);
	assert_int_equal(collect(F_1G), 0);
	assert_int_equal(collect(F_1G), 0);
	touch(5, true, 3);
	ept_sync(&w.gather);
	assert_int_equal(collect(F_1G), 1);
	ept_sync(&w.gather);
	forget_what_was_logged();
}

/* The slot does not say any more that its table was walked, and a CPU remembers where that is. */
static void no_write_is_missed_by_a_collapse_that_follows_a_collection(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	track(F_1G, false);
	touch(5, false, 0);
	assert_int_equal(collect(F_1G), 0);
	step((struct step){ .code = STEP_UNTRACK, .frames = F_1G });
	assert_true(w.gather.owed); /* no flush until now */
	assert_int_equal(ept_collapse(me(), 0, PG_LEVEL_2M, &w.gather), 1);
	touch(5, true, 3);
	assert_false(ept_lookup(&w.ept, 5).dirty);
	ept_sync(&w.gather);
	assert_int_equal(ept_lookup(&w.ept, 5).level, PG_LEVEL_2M);
	assert_true(ept_lookup(&w.ept, 5).dirty);
}

/* CPU 1 owes the flush for a collapse while CPU 0 splits, tracks and collects. What was written by
 * a pointer into the old table is found at CPU 1's flush. */
static void no_write_is_missed_that_another_cpu_finds_late(void **state)
{
	struct ept_gather other;

	(void)state;
	ept_gather_init(&other, ept_cpu(&w.ept, 1));
	map(0, F_1G, EPT_PRESENT);
	track(F_1G, false);
	step((struct step){ .code = STEP_UNTRACK, .frames = F_1G });
	ept_sync(&w.gather);
	touch(5, false, 0);
	assert_int_equal(ept_collapse(ept_cpu(&w.ept, 1), 0, PG_LEVEL_2M, &other), 1);
	touch(5, true, 3);
	track(F_1G, false);
	(void)collect(F_1G);
	ept_sync(&w.gather);
	(void)collect(F_1G); /* nobody has walked the new table: it is quiet */
	ept_sync(&w.gather);
	ept_sync(&other);
	assert_true(collect(F_1G) > 0);
	assert_true(bitmap[0] & 1 << 5);
	ept_sync(&w.gather);
	forget_what_was_logged();
}

static void what_is_not_tracked_is_not_collected(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	track(F_2M / 2, false);
	touch(5, true, 0);
	touch(F_2M / 2 + 5, true, 0);
	assert_int_equal(collect(F_2M), 1);
	assert_true(ept_lookup(&w.ept, F_2M / 2 + 5).dirty);
	ept_sync(&w.gather);
	forget_what_was_logged();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(no_write_is_missed_by_a_collection_that_skips_tables),
		CASE(a_collection_before_the_flush_calls_nothing_quiet),
		CASE(no_write_is_missed_by_a_collapse_that_follows_a_collection),
		CASE(no_write_is_missed_that_another_cpu_finds_late),
		CASE(what_is_not_tracked_is_not_collected),
	};

	return cmocka_run_group_tests_name("the second stage: collections", tests, NULL, NULL);
}
