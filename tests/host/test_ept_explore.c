/* SPDX-License-Identifier: MIT */
/*
 * All sequences of operations on the toy geometry, against the flat reference and the model TLB.
 * One set of steps for each theme, so that each goes deep.
 */
#include "tests/host/explore_case.h"

static void arrivals_claims_and_collapses(void **state)
{
	struct explore x = begin("arrivals", 40);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	for (unsigned int gfn = 0; gfn < 4; gfn++)
		add_at(&x, STEP_ARRIVE, gfn, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 5, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_ARRIVE_ALL, 4, PAGES);
	add_range(&x, STEP_ARRIVE_ALL, 1, 4);
	add_at(&x, STEP_REQUEST, 0, 0);
	add_at(&x, STEP_REQUEST, 5, 0);
	add_at(&x, STEP_FILL, 0, PG_LEVEL_4K);
	add_at(&x, STEP_FILL, 4, PG_LEVEL_2M);
	add_at(&x, STEP_FILL, 0, PG_LEVEL_1G);
	add(&x, STEP_PUBLISH);
	add(&x, STEP_GIVE_UP);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_at(&x, STEP_SPLIT, 5, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 1, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_range(&x, STEP_COLLAPSE_RANGE, 2, 9);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
	assert_true(x.states > 500);
	assert_true(x.failures > 300);
}

static void hardware_that_remembers_all_it_may(void **state)
{
	struct explore x = begin("stale", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_touches(&x, 0, true, 6);
	add_touches(&x, 1, true, 5);
	add_touches(&x, 4, false, 4);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_2M);
	add_at(&x, STEP_SPLIT, 4, PG_LEVEL_4K);
	add_split_with_write(&x, 0, PG_LEVEL_4K, 1);
	add_split_with_write(&x, 4, PG_LEVEL_4K, 0);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_at(&x, STEP_POISON, 5, 0);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 0, 5);
	add_late_writes(&x, 5, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void maps_unmaps_and_poison_of_parts(void **state)
{
	struct explore x = begin("parts", 40);

	(void)state;
	x.eager = true;
	add_map(&x, 0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_map(&x, 0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_map(&x, 0, 4, EPT_PRESENT, EPT_R | EPT_X, 0);
	add_map(&x, 4, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_map(&x, 4, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_map(&x, 0, 1, EPT_PRESENT, EPT_R, 0);
	add_map(&x, 1, 4, EPT_PRESENT, EPT_RWX, 0);
	add_map(&x, 1, 7, EPT_ABSENT, EPT_RWX, 65);
	add_map(&x, 4, 8, EPT_PRESENT, EPT_RWX, 128);
	add_range(&x, STEP_UNMAP, 0, PAGES);
	add_range(&x, STEP_UNMAP, 0, 4);
	add_range(&x, STEP_UNMAP, 5, 6);
	add_range(&x, STEP_UNMAP, 2, 9);
	add_range(&x, STEP_UNMAP, 4, 8);
	add_at(&x, STEP_POISON, 0, 0);
	add_at(&x, STEP_POISON, 5, 0);
	add_at(&x, STEP_ARRIVE, 5, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_at(&x, STEP_FILL, 8, PG_LEVEL_2M);
	add(&x, STEP_PUBLISH);
	add_at(&x, STEP_SPLIT, 3, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

/* --- ranges ------------------------------------------------------------------------------------
 */

static void rights_outlive_splits_and_collapses(void **state)
{
	struct explore x = begin("protect", 7);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_protect(&x, 0, PAGES, EPT_R | EPT_X);
	add_protect(&x, 0, PAGES, EPT_RWX);
	add_protect(&x, 0, 4, EPT_R);
	add_protect(&x, 1, 2, EPT_R | EPT_W);
	add_protect(&x, 3, 9, EPT_R | EPT_X);
	add_protect(&x, 0, 4, EPT_RWX);
	add_protect(&x, 0, 4, EPT_W);
	add_touches(&x, 1, true, 3);
	add_touches(&x, 5, true, 2);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 3);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

static void rights_of_what_has_not_arrived(void **state)
{
	struct explore x = begin("protect absent", 40);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_protect(&x, 0, PAGES, EPT_RWX);
	add_protect(&x, 1, 2, EPT_R);
	add_protect(&x, 3, 9, EPT_R | EPT_X);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_at(&x, STEP_FILL, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FILL, 4, PG_LEVEL_2M);
	add(&x, STEP_PUBLISH);
	add(&x, STEP_GIVE_UP);
	add_at(&x, STEP_REQUEST, 1, 0);
	add_at(&x, STEP_POISON, 1, 0);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
}

static void what_is_discarded_is_zero_and_never_asked_for(void **state)
{
	struct explore x = begin("discard", 40);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_range(&x, STEP_DISCARD, 0, PAGES);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_range(&x, STEP_DISCARD, 3, 9);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FILL_ZERO, 4, PG_LEVEL_2M);
	add_at(&x, STEP_FILL_ZERO, 0, PG_LEVEL_1G);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_at(&x, STEP_FILL, 1, PG_LEVEL_4K);
	add(&x, STEP_PUBLISH);
	add(&x, STEP_GIVE_UP);
	add_at(&x, STEP_REQUEST, 1, 0);
	add_range(&x, STEP_POISON_RANGE, 1, 3);
	add_range(&x, STEP_UNMAP, 2, 3);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
	assert_true(x.states > 1000);
}

static void what_is_discarded_is_reached_no_more(void **state)
{
	struct explore x = begin("discard present", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_range(&x, STEP_DISCARD, 3, 9);
	add_range(&x, STEP_POISON_RANGE, 4, 6);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FILL_ZERO, 4, PG_LEVEL_2M);
	add_touches(&x, 1, true, 3);
	add_touches(&x, 5, false, 2);
	add_at(&x, STEP_REACH, 1, 0);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_range(&x, STEP_SPLIT_RANGE, 0, 7);
	x.step[x.nsteps - 1].level = PG_LEVEL_4K;
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 3);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void moves_at_mixed_granularity(void **state)
{
	struct explore x = begin("move", 9);

	(void)state;
	x.npages = 32;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_move(&x, 0, 16, 16);
	add_move(&x, 16, 32, 0);
	add_move(&x, 0, 4, 17);
	add_move(&x, 17, 21, 0);
	add_move(&x, 1, 6, 25);
	add_move(&x, 24, 31, 1);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_REQUEST, 2, 0);
	add_at(&x, STEP_FILL, 5, PG_LEVEL_4K);
	add(&x, STEP_PUBLISH);
	add_at(&x, STEP_POISON, 3, 0);
	add_range(&x, STEP_ARRIVE_ALL, 0, 32);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, 32);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

static void stale_ways_to_what_was_moved(void **state)
{
	struct explore x = begin("move stale", 9);

	(void)state;
	x.npages = 32;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_move(&x, 0, 16, 16);
	add_move(&x, 16, 32, 0);
	add_move(&x, 0, 4, 17);
	add_move(&x, 17, 21, 0);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 2, false, 2);
	add_touches(&x, 18, true, 2);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 1, PG_LEVEL_2M);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add(&x, STEP_THAW);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

/* test_ept_explore [PATTERN]: only the scenes whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrivals_claims_and_collapses),
		cmocka_unit_test(rights_outlive_splits_and_collapses),
		cmocka_unit_test(rights_of_what_has_not_arrived),
		cmocka_unit_test(what_is_discarded_is_zero_and_never_asked_for),
		cmocka_unit_test(what_is_discarded_is_reached_no_more),
		cmocka_unit_test(moves_at_mixed_granularity),
		cmocka_unit_test(stale_ways_to_what_was_moved),
		cmocka_unit_test(maps_unmaps_and_poison_of_parts),
		cmocka_unit_test(hardware_that_remembers_all_it_may),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("every sequence on the toy geometry", tests, NULL, NULL);
}
