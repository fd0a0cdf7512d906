/* SPDX-License-Identifier: MIT */
/*
 * What must hold on the real geometry of dirty tracking, of frames that change under load, and
 * where large leaves cannot be executed. Each test's name is the claim.
 */
#include <string.h>

#include "ept/access.h"
#include "ept/range.h"
#include "ept/relocate.h"
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

static void resolve(unsigned int gfn, bool write)
{
	step((struct step){ .code = STEP_RESOLVE, .gfn = gfn, .write = write });
}

static uint64_t collect(unsigned int frames)
{
	memset(bitmap, 0, sizeof(bitmap));
	return ept_track_collect(me(), 0, frames, bitmap, &w.gather);
}

/* --- dirty tracking --- */

/* Every 37th page is written; some of them again between two collections. */
static void a_gib_is_tracked_without_a_miss_and_comes_back_in_place(bool by_faults)
{
	uint64_t n = 0;
	unsigned int flushes;

	map(0, F_1G, EPT_PRESENT);
	track(F_1G, by_faults);
	assert_leaves(0, 0, F_1G, 515);
	for (unsigned int gfn = 0; gfn < F_1G; gfn += 37, n++) {
		if (by_faults)
			assert_int_equal(ept_resolve(me(), gfn, EPT_W, &w.gather), 0);
		w.ref.page[gfn].may |= by_faults ? REF_ACCESSED | REF_DIRTY : 0;
		touch(gfn, true, 0);
	}
	assert_int_equal(collect(F_1G), n);
	for (unsigned int gfn = 0; gfn < F_1G; gfn++)
		assert_int_equal(bitmap[gfn / 64] >> gfn % 64 & 1, gfn % 37 == 0);
	ept_sync(&w.gather);
	assert_int_equal(collect(F_1G), 0);
	/* Hardware has walked the tables: what says so is cleared, once. */
	assert_int_equal(w.gather.owed, !by_faults);
	ept_sync(&w.gather);
	assert_int_equal(collect(F_1G), 0);
	assert_false(w.gather.owed);
	/* Refused for as long as a mark is there. */
	assert_int_equal(ept_collapse(me(), 0, PG_LEVEL_1G, &w.gather), EPT_MIXED);
	for (unsigned int gfn = 0; gfn < F_1G; gfn++) {
		w.ref.page[gfn].must &= (uint8_t)~REF_DIRTY;
		w.ref.page[gfn].may &= (uint8_t)~REF_DIRTY;
		w.ref.page[gfn].logged = false;
	}
	range(STEP_UNTRACK, 0, F_1G);
	flushes = w.flushes;
	range(STEP_COLLAPSE_RANGE, 0, F_1G);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(1, 0, 0, 2);
	assert_in_range(w.flushes - flushes, 1, 5);
	verify();
}

static void a_gib_is_tracked_by_dirty_bits_and_comes_back_in_place(void **state)
{
	(void)state;
	a_gib_is_tracked_without_a_miss_and_comes_back_in_place(false);
}

static void a_gib_is_tracked_by_faults_and_comes_back_in_place(void **state)
{
	(void)state;
	world_set_plain(&w);
	a_gib_is_tracked_without_a_miss_and_comes_back_in_place(true);
}

static void each_step_of_tracking_is_bounded(void **state)
{
	gfn_t next = 0;
	unsigned int steps = 0;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	assert_int_equal(ept_track_begin(&w.ept, EPT_TRACK_DIRTY), 0);
	for (; next < F_1G; steps++) {
		int64_t splits = stats()->splits_present;
		gfn_t was = next;

		assert_int_equal(ept_track_some(me(), &next, F_1G, 1000, &w.gather), 0);
		/* At most a table's worth more than the budget. */
		assert_true((uint64_t)(stats()->splits_present - splits) * 512 + next - was <=
			    1512);
		if (w.gather.owed && steps % 16 == 0)
			ept_sync(&w.gather);
	}
	assert_in_range(steps, 2 * F_1G / 1512, 2 * F_1G / 500);
	ept_sync(&w.gather);
	assert_int_equal(ept_track_begin(&w.ept, EPT_TRACK_DIRTY), EPT_BUSY);
	for (next = 0; next < F_1G;) {
		gfn_t was = next;

		assert_int_equal(ept_untrack_some(me(), &next, F_1G, 1000, &w.gather), 0);
		assert_int_equal(next - was, MIN(UINT64_C(1000), F_1G - was));
	}
	ept_track_end(&w.ept);
	assert_int_equal(ept_track_begin(&w.ept, EPT_TRACK_NOT), EPT_INVALID);
	assert_false(w.gather.owed);
}

/* Lost, at once or with its table; discarded; moved; and a clone never had one. */
static void no_mark_is_left_when_the_tracking_has_ended(void **state)
{
	gfn_t next = 0, where;

	(void)state;
	world_add_clone(&w);
	map(0, F_1G, EPT_ABSENT);
	range(STEP_ARRIVE_ALL, 0, 4 * F_2M);
	track(F_1G, false);
	at(STEP_POISON, 5, PG_LEVEL_4K);
	at(STEP_POISON, 5 * F_2M, PG_LEVEL_4K);
	range(STEP_POISON_RANGE, 8 * F_2M - 5, F_2M);
	assert_false(ept_lookup(&w.ept, 5).tracked);
	range(STEP_DISCARD, 9, 2 * F_2M);
	step((struct step){ .code = STEP_MOVE, .gfn = 20, .frames = 9, .also = F_1G + F_2M });
	step((struct step){ .code = STEP_CLONE, .frames = F_1G, .write = true });
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_true(ept_lookup(&w.ept, F_1G + F_2M).tracked);
	assert_null(ept_check(&w.clone.ept, &where));
	while (next < 2 * F_1G)
		assert_int_equal(ept_untrack_some(me(), &next, 2 * F_1G, 1000, &w.gather), 0);
	ept_track_end(&w.ept);
	for (gfn_t gfn = 0; gfn < 2 * F_1G; gfn++)
		assert_false(ept_lookup(&w.ept, gfn).tracked);
	assert_null(ept_check(&w.ept, &where));
}

static void a_first_write_faults_once_and_only_its_page(void **state)
{
	(void)state;
	world_set_plain(&w);
	map(0, F_2M, EPT_PRESENT);
	track(F_2M, true);
	resolve(5, true);
	resolve(5, true);
	assert_int_equal(stats()->write_faults, 1);
	touch(5, true, 0);
	assert_int_equal(ept_lookup(&w.ept, 6).withheld, EPT_W);
	assert_int_equal(ept_lookup(&w.ept, 5).withheld, 0);
	range(STEP_COLLECT, 0, F_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(ept_lookup(&w.ept, 5).withheld, EPT_W);
	resolve(5, true);
	assert_int_equal(stats()->write_faults, 2);
	verify();
}

static void without_a_table_a_write_is_noted_of_the_whole_leaf(void **state)
{
	(void)state;
	world_set_plain(&w);
	map(0, F_2M, EPT_ABSENT);
	track(F_2M, true);
	at(STEP_ARRIVE, 0, PG_LEVEL_2M);
	assert_int_equal(ept_lookup(&w.ept, 5).withheld, EPT_W);
	w.ntables = w.in_use;
	assert_int_equal(ept_resolve(me(), 5, EPT_W, &w.gather), 0);
	w.ntables = TABLES;
	assert_int_equal(ept_lookup(&w.ept, 5).withheld, 0);
	assert_int_equal(collect(F_2M), F_2M);
	ept_sync(&w.gather);
}

static void a_part_of_a_dirty_leaf_can_be_collected_without_losing_the_rest(void **state)
{
	(void)state;
	map(0, F_2M, EPT_ABSENT);
	track(F_2M, false);
	at(STEP_ARRIVE, 0, PG_LEVEL_2M);
	touch(100, true, 0);
	for (unsigned int gfn = 0; gfn < F_2M; gfn += 64)
		range(STEP_COLLECT, gfn, 64);
	range(STEP_COLLECT, 0, F_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(collect(F_2M), 0);
	verify();
}

static void assert_tracked(gfn_t from, gfn_t end, bool inside)
{
	for (gfn_t gfn = from - 2; gfn < end + 2; gfn++)
		assert_int_equal(ept_lookup(&w.ept, gfn).tracked,
				 (gfn >= from && gfn < end) == inside);
}

/* Also in what was one absent entry, or one leaf. */
static void marks_end_where_the_range_ends(void **state)
{
	(void)state;
	map(0, F_1G, EPT_ABSENT);
	step((struct step){ .code = STEP_TRACK, .gfn = 5, .frames = 4 });
	assert_tracked(5, 9, true);
	assert_false(ept_lookup(&w.ept, F_1G - 1).tracked);
	track(F_1G, false);
	at(STEP_ARRIVE, 4 * F_2M, PG_LEVEL_2M);
	range(STEP_UNTRACK, 4 * F_2M + 7, 2);
	assert_tracked(4 * F_2M + 7, 4 * F_2M + 9, false);
	range(STEP_UNTRACK, 8 * F_2M + 7, 2 * F_2M);
	assert_tracked(8 * F_2M + 7, 10 * F_2M + 7, false);
	assert_true(ept_lookup(&w.ept, F_1G - 1).tracked);
	if (w.gather.owed)
		at(STEP_SYNC, 0, PG_LEVEL_NONE);
	verify();
}

static void what_arrives_under_tracking_is_clean_and_what_is_discarded_is_reported(void **state)
{
	(void)state;
	map(0, F_2M, EPT_ABSENT);
	track(F_2M, false);
	at(STEP_ARRIVE, 5, PG_LEVEL_4K);
	assert_true(ept_lookup(&w.ept, 5).tracked);
	assert_int_equal(collect(F_2M), 0);
	range(STEP_DISCARD, 5, 1);
	assert_int_equal(collect(F_2M), 1);
	assert_int_equal(bitmap[0], 1 << 5);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	at(STEP_FILL_ZERO, 5, PG_LEVEL_4K);
	assert_int_equal(collect(F_2M), 1);
	w.ref.page[5].must = w.ref.page[5].may = 0;
	ept_sync(&w.gather);
	verify();
}

static void the_hypervisors_own_write_is_reported(void **state)
{
	(void)state;
	world_set_plain(&w);
	map(0, F_1G, EPT_PRESENT);
	track(F_2M, true);
	step((struct step){ .code = STEP_REACH, .gfn = 7, .write = true });
	step((struct step){ .code = STEP_REACH, .gfn = 8 });
	range(STEP_COLLECT, 0, F_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	range(STEP_DISCARD, 9, 1);
	step((struct step){ .code = STEP_REACH, .gfn = 9 });
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	verify();
}

/* --- other frames --- */

static void freezing_answers_by_reason(void **state)
{
	struct ept_frozen f;

	(void)state;
	map(0, F_2M, EPT_PRESENT);
	map(F_2M, F_2M, EPT_ABSENT);
	at(STEP_POISON, 9, PG_LEVEL_NONE);
	at(STEP_FILL, F_2M + 3, PG_LEVEL_4K);
	assert_int_equal(ept_freeze(me(), 1, PG_LEVEL_2M, EPT_WHY_COW, &f, &w.gather), EPT_INVALID);
	assert_int_equal(ept_freeze(me(), 0, PG_LEVEL_512G, EPT_WHY_COW, &f, &w.gather),
			 EPT_INVALID);
	assert_int_equal(ept_freeze(me(), 0, PG_LEVEL_2M, EPT_WHY_COW, &f, &w.gather), EPT_SMALLER);
	assert_int_equal(ept_freeze(me(), 9, PG_LEVEL_4K, EPT_WHY_COW, &f, &w.gather), EPT_LOST);
	assert_int_equal(ept_freeze(me(), 3 * F_2M, PG_LEVEL_4K, EPT_WHY_COW, &f, &w.gather),
			 EPT_UNMAPPED);
	assert_int_equal(ept_freeze(me(), F_2M, PG_LEVEL_4K, EPT_WHY_COW, &f, &w.gather),
			 EPT_NOT_HERE);
	assert_int_equal(ept_freeze(me(), F_2M + 3, PG_LEVEL_4K, EPT_WHY_COW, &f, &w.gather),
			 EPT_NOT_HERE);
	at(STEP_GIVE_UP, 0, PG_LEVEL_NONE);
	verify();
}

static void a_page_that_went_elsewhere_keeps_a_2m_from_collapsing(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	touch(5, true, 0);
	at(STEP_FREEZE, 5, PG_LEVEL_4K);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	at(STEP_COLLAPSE, 5, PG_LEVEL_2M);
	step((struct step){ .code = STEP_THAW, .write = true });
	assert_int_equal(stats()->relocated, 1);
	touch(5, false, 0);
	at(STEP_COLLAPSE, 5, PG_LEVEL_2M);
	assert_int_equal(stats()->refused[ept_nr(EPT_BUSY)], 1);
	assert_int_equal(stats()->refused[ept_nr(EPT_SCATTERED)], 1);
	/* Back again: all is in one piece. */
	at(STEP_FREEZE, 5, PG_LEVEL_4K);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	step((struct step){ .code = STEP_THAW, .write = true });
	at(STEP_COLLAPSE, 5, PG_LEVEL_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(1, 0, 0, 2);
	assert_true(ept_lookup(&w.ept, 5).dirty);
	verify();
}

static void an_owned_frame_needs_no_copy(void **state)
{
	struct ept_frozen f;

	(void)state;
	world_add_clone(&w);
	map(0, F_2M, EPT_PRESENT);
	step((struct step){ .code = STEP_CLONE, .frames = F_2M, .write = true });
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	range(STEP_CLONE_UNMAP, 0, F_2M);
	assert_int_equal(ept_resolve(me(), 5, EPT_W, &w.gather), EPT_FOREIGN);
	assert_int_equal(ept_freeze(me(), 0, PG_LEVEL_2M, EPT_WHY_COW, &f, &w.gather), 0);
	(void)ept_thaw_owned(me(), &f);
	for (unsigned int i = 0; i < F_2M; i++)
		w.ref.page[i].cow = false;
	assert_int_equal(ept_resolve(me(), 5, EPT_W, &w.gather), 0);
	touch(5, true, 0);
	assert_int_equal(stats()->relocated, 0);
	ept_sync(&w.gather);
	verify();
}

/* --- execution --- */

static void only_what_is_executed_is_split_and_it_recovers_in_bounded_steps(void **state)
{
	const unsigned int executed[] = { 7, 3 * F_2M + 1, 3 * F_2M + 2, 500 * F_2M };
	unsigned int n = 0, steps = 0;
	gfn_t next = 0;

	(void)state;
	world_set_nx(&w);
	map(0, F_1G, EPT_PRESENT);
	assert_int_equal(ept_lookup(&w.ept, 7).withheld, EPT_X);
	for (unsigned int i = 0; i < ARRAY_LEN(executed); i++) {
		resolve(executed[i], false);
		step((struct step){ .code = STEP_FETCH, .gfn = executed[i] });
	}
	assert_leaves(0, 509, 3 * F_2M, 6);
	assert_int_equal(stats()->nx_splits, 3);
	/* A collapse for its own sake would take away what is executed. */
	at(STEP_COLLAPSE, 7, PG_LEVEL_2M);
	assert_int_equal(stats()->refused[ept_nr(EPT_EXECUTED)], 1);
	while (next < F_1G) {
		unsigned int got = ept_recover_nx(me(), &next, F_1G, 1, &w.gather);

		assert_in_range(got, 0, 2); /* the GiB ends with the last of its pieces */
		n += got;
		steps++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(steps, 512);
	assert_leaves(1, 0, 0, 2);
	assert_int_equal(ept_lookup(&w.ept, 7).withheld, EPT_X);
	assert_int_equal(ref_recover_nx(&w.ref, 0, F_1G), 4);
	tlb_flush(&w.tlb);
	verify();
}

static void a_step_of_recovery_is_bounded_where_nothing_can_collapse(void **state)
{
	gfn_t next = 0;

	(void)state;
	world_set_nx(&w);
	map(0, 64 * F_2M, EPT_ABSENT);
	for (unsigned int i = 0; i < 64; i++)
		at(STEP_ARRIVE, i * F_2M + 5, PG_LEVEL_4K);
	for (unsigned int i = 1; i <= 64; i++) {
		assert_int_equal(ept_recover_nx(me(), &next, 64 * F_2M, 1, &w.gather), 0);
		assert_int_equal(next, i * F_2M);
		assert_int_equal(stats()->refused[ept_nr(EPT_HOLE)], i);
	}
	verify();
}

/* By a pointer to the table that it remembers, until it acknowledges the flush. */
static void a_write_that_hardware_notes_late_is_not_lost_by_a_recovery(void **state)
{
	(void)state;
	world_set_nx(&w);
	map(0, F_2M, EPT_PRESENT);
	step((struct step){ .code = STEP_RESOLVE, .gfn = 7 });
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	step((struct step){ .code = STEP_FETCH, .gfn = 7 });
	assert_false(ept_lookup(&w.ept, 7).dirty);
	/* Way 1 is the highest pointer: the third one points to the table of 4 KiB entries. */
	step((struct step){
		.code = STEP_RECOVER_NX, .frames = F_2M, .also = 7, .write = true, .way = 3 });
	assert_int_equal(ept_lookup(&w.ept, 7).level, PG_LEVEL_2M);
	assert_true(ept_lookup(&w.ept, 7).accessed);
	assert_true(ept_lookup(&w.ept, 7).dirty);
	assert_int_equal(stats()->late_bits, 1);
	verify();
}

static void sixteen_tables_at_the_most_are_frozen_for_one_flush(void **state)
{
	gfn_t next = 0;

	(void)state;
	world_set_nx(&w);
	map(0, 100 * F_2M, EPT_PRESENT);
	for (unsigned int i = 0; i < 100; i++)
		resolve(i * F_2M, false);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	w.flushes = 0;
	assert_int_equal(ept_recover_nx(me(), &next, 100 * F_2M, 1000, &w.gather), 100);
	assert_int_equal(w.flushes, (100 + EPT_FROZEN_MAX - 1) / EPT_FROZEN_MAX);
	assert_leaves(0, 100, 0, 3);
	assert_false(w.gather.owed);
}

static void a_recovery_that_begins_inside_of_a_gib_ends_with_that_gib(void **state)
{
	gfn_t next = 100 * F_2M + 1;

	(void)state;
	world_set_nx(&w);
	map(0, F_1G, EPT_PRESENT);
	resolve(300 * F_2M, false);
	assert_int_equal(ept_recover_nx(me(), &next, F_1G, 500, &w.gather), 2);
	assert_int_equal(next, F_1G);
	assert_leaves(1, 0, 0, 2);
	assert_int_equal(ref_recover_nx(&w.ref, 100 * F_2M + 1, F_1G - 100 * F_2M - 1), 2);
	verify();
}

static void a_large_arrival_is_not_executed_and_recovery_leaves_other_splits_alone(void **state)
{
	(void)state;
	world_set_nx(&w);
	map(0, F_1G, EPT_ABSENT);
	at(STEP_ARRIVE, 0, PG_LEVEL_2M);
	assert_int_equal(ept_lookup(&w.ept, 5).withheld, EPT_X);
	resolve(5, false);
	step((struct step){ .code = STEP_FETCH, .gfn = 5 });
	at(STEP_ARRIVE, F_2M, PG_LEVEL_2M);
	at(STEP_SPLIT, F_2M, PG_LEVEL_4K);
	step((struct step){ .code = STEP_RECOVER_NX, .frames = F_1G, .level = 3 });
	assert_int_equal(ept_lookup(&w.ept, 5).level, PG_LEVEL_2M);
	assert_int_equal(ept_lookup(&w.ept, F_2M).level, PG_LEVEL_4K);
	verify();
}

static void a_fetch_without_a_table_is_refused_and_can_be_made_again(void **state)
{
	(void)state;
	world_set_nx(&w);
	map(0, F_1G, EPT_PRESENT);
	w.ntables = w.in_use;
	assert_int_equal(ept_resolve(me(), 7, EPT_X, &w.gather), EPT_NO_TABLE);
	w.ntables = TABLES;
	resolve(7, false);
	/* Execute-only cannot be granted: a large leaf would be left without any right. */
	assert_int_equal(ept_protect(me(), 0, 1, EPT_X, &w.gather), EPT_INVALID);
	verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_gib_is_tracked_by_dirty_bits_and_comes_back_in_place),
		CASE(a_gib_is_tracked_by_faults_and_comes_back_in_place),
		CASE(each_step_of_tracking_is_bounded),
		CASE(no_mark_is_left_when_the_tracking_has_ended),
		CASE(a_first_write_faults_once_and_only_its_page),
		CASE(without_a_table_a_write_is_noted_of_the_whole_leaf),
		CASE(marks_end_where_the_range_ends),
		CASE(a_part_of_a_dirty_leaf_can_be_collected_without_losing_the_rest),
		CASE(what_arrives_under_tracking_is_clean_and_what_is_discarded_is_reported),
		CASE(the_hypervisors_own_write_is_reported),
		CASE(freezing_answers_by_reason),
		CASE(a_page_that_went_elsewhere_keeps_a_2m_from_collapsing),
		CASE(an_owned_frame_needs_no_copy),
		CASE(only_what_is_executed_is_split_and_it_recovers_in_bounded_steps),
		CASE(a_step_of_recovery_is_bounded_where_nothing_can_collapse),
		CASE(a_write_that_hardware_notes_late_is_not_lost_by_a_recovery),
		CASE(sixteen_tables_at_the_most_are_frozen_for_one_flush),
		CASE(a_recovery_that_begins_inside_of_a_gib_ends_with_that_gib),
		CASE(a_large_arrival_is_not_executed_and_recovery_leaves_other_splits_alone),
		CASE(a_fetch_without_a_table_is_refused_and_can_be_made_again),
	};

	return cmocka_run_group_tests_name("the second stage: tracking and accesses", tests, NULL,
					   NULL);
}
