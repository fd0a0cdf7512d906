/* SPDX-License-Identifier: MIT */
/*
 * All sequences of operations on the toy geometry: dirty tracking, frames that change, execution.
 * See tests/host/test_ept_explore.c.
 */
#include "tests/host/explore_case.h"

/* --- dirty tracking ------------------------------------------------------------------------------
 */

static void add_tracking(struct explore *x, bool by_faults)
{
	add_range(x, STEP_TRACK, 0, PAGES);
	x->step[x->nsteps - 1].write = by_faults;
	add_range(x, STEP_COLLECT, 0, PAGES);
	add_range(x, STEP_COLLECT, 1, 3);
	add_range(x, STEP_UNTRACK, 0, PAGES);
}

static void add_resolves(struct explore *x, unsigned int gfn, bool write)
{
	add_at(x, STEP_RESOLVE, gfn, 0);
	x->step[x->nsteps - 1].write = write;
}

static void add_reaches(struct explore *x, unsigned int gfn)
{
	add_at(x, STEP_REACH, gfn, 0);
	add_at(x, STEP_REACH, gfn, 0);
	x->step[x->nsteps - 1].write = true;
}

static void no_write_is_missed_by_dirty_bits(void **state)
{
	struct explore x = begin("dirty bits", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, 8, EPT_PRESENT, EPT_RWX, 0);
	add_tracking(&x, false);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 5, true, 2);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_reaches(&x, 1);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void no_write_is_missed_by_faults(void **state)
{
	struct explore x = begin("write faults", 8);

	(void)state;
	x.plain = true;
	x.first[x.nfirst++] = map(0, 8, EPT_PRESENT, EPT_RWX, 0);
	add_tracking(&x, true);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 5, true, 2);
	add_resolves(&x, 1, true);
	add_resolves(&x, 5, true);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_reaches(&x, 1);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void arrivals_under_tracking(void **state)
{
	struct explore x = begin("tracked arrivals", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_tracking(&x, false);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_ARRIVE_ALL, 0, 4);
	add_at(&x, STEP_FILL, 2, PG_LEVEL_4K);
	add(&x, STEP_PUBLISH);
	add_touches(&x, 1, true, 2);
	add_touches(&x, 5, true, 2);
	add_resolves(&x, 5, true);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_at(&x, STEP_POISON, 3, 0);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void arrivals_under_tracking_by_faults(void **state)
{
	struct explore x = begin("tracked arrivals, faults", 9);

	(void)state;
	x.plain = true;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_tracking(&x, true);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_1G);
	add_touches(&x, 1, true, 2);
	add_touches(&x, 5, true, 2);
	add_resolves(&x, 1, true);
	add_resolves(&x, 5, true);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_protect(&x, 4, 6, EPT_R | EPT_X);
	add_at(&x, STEP_FREEZE, 5, PG_LEVEL_4K);
	add(&x, STEP_THAW);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

/* --- other frames --------------------------------------------------------------------------------
 */

static void add_thaws(struct explore *x)
{
	add(x, STEP_THAW);
	add(x, STEP_THAW)->write = true;
}

static void what_is_frozen_stands_still_for_all_others(void **state)
{
	struct explore x = begin("freeze", 6);

	(void)state;
	x.first[x.nfirst++] = map(0, 8, EPT_PRESENT, EPT_RWX, 0);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FREEZE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_2M);
	add_thaws(&x);
	add_touches(&x, 1, true, 3);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_SPLIT, 5, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_range(&x, STEP_UNMAP, 0, 1);
	add_range(&x, STEP_UNMAP, 0, 8);
	add_protect(&x, 0, 2, EPT_R);
	add_range(&x, STEP_DISCARD, 0, 1);
	add_range(&x, STEP_POISON_RANGE, 2, 3);
	add_at(&x, STEP_POISON, 1, 0);
	add_at(&x, STEP_REQUEST, 1, 0);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_resolves(&x, 1, true);
	add_reaches(&x, 1);
	add_move(&x, 0, 4, 8);
	add_range(&x, STEP_SPLIT_RANGE, 0, 8);
	x.step[x.nsteps - 1].level = PG_LEVEL_4K;
	add_tracking(&x, true);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void nobody_reaches_the_old_frame_after_the_sync(void **state)
{
	struct explore x = begin("relocate", 10);

	(void)state;
	x.first[x.nfirst++] = map(0, 4, EPT_PRESENT, EPT_RWX, 0);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FREEZE, 0, PG_LEVEL_2M);
	add_thaws(&x);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 2, false, 2);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void writes_do_not_leak_between_an_original_and_its_clone(void **state)
{
	struct explore x = begin("clone", 7);

	(void)state;
	x.clone = true;
	x.first[x.nfirst++] = map(0, 4, EPT_PRESENT, EPT_RWX, 0);
	x.first[x.nfirst++] = map(4, 8, EPT_ABSENT, EPT_RWX, 0);
	add_range(&x, STEP_CLONE, 0, 8);
	x.step[x.nsteps - 1].write = true;
	add_range(&x, STEP_CLONE, 1, 6);
	x.step[x.nsteps - 1].write = true;
	add_range(&x, STEP_CLONE, 0, 8);
	add_range(&x, STEP_CLONE_UNMAP, 0, PAGES);
	add_at(&x, STEP_CLONE_COPY, 1, 0);
	add_at(&x, STEP_CLONE_FILL, 5, 0);
	add_at(&x, STEP_COPY, 1, 0);
	add_at(&x, STEP_COPY, 2, 0);
	for (unsigned int way = 0; way < 2; way++) {
		add_at(&x, STEP_CLONE_TOUCH, 1, 0);
		x.step[x.nsteps - 1].way = (uint8_t)way;
		x.step[x.nsteps - 1].write = true;
	}
	add_touches(&x, 1, true, 3);
	add_resolves(&x, 1, true);
	add_reaches(&x, 1);
	add_at(&x, STEP_ARRIVE, 5, PG_LEVEL_4K);
	add_range(&x, STEP_DISCARD, 2, 3);
	add_at(&x, STEP_FILL_ZERO, 2, PG_LEVEL_4K);
	add_protect(&x, 1, 2, EPT_R);
	add_protect(&x, 1, 2, EPT_RWX);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add_thaws(&x);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

static void copies_under_tracking(void **state)
{
	struct explore x = begin("tracked clone", 9);

	(void)state;
	x.clone = true;
	x.plain = true;
	x.first[x.nfirst++] = map(0, 4, EPT_PRESENT, EPT_RWX, 0);
	add_tracking(&x, true);
	add_range(&x, STEP_CLONE, 0, 4);
	x.step[x.nsteps - 1].write = true;
	add_range(&x, STEP_CLONE_UNMAP, 0, PAGES);
	add_at(&x, STEP_CLONE_COPY, 1, 0);
	add_at(&x, STEP_COPY, 1, 0);
	add_touches(&x, 1, true, 3);
	add_resolves(&x, 1, true);
	add_reaches(&x, 1);
	add_range(&x, STEP_DISCARD, 1, 2);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

/* --- execution -----------------------------------------------------------------------------------
 */

static void add_fetches(struct explore *x, unsigned int gfn, unsigned int ways)
{
	for (unsigned int way = 0; way < ways; way++) {
		add_at(x, STEP_FETCH, gfn, 0);
		x->step[x->nsteps - 1].way = (uint8_t)way;
	}
}

static void add_recovery(struct explore *x, unsigned int gfn, unsigned int end, unsigned int budget)
{
	add_range(x, STEP_RECOVER_NX, gfn, end);
	x->step[x->nsteps - 1].level = (uint8_t)budget;
}

static void no_fetch_goes_through_a_large_leaf(void **state)
{
	struct explore x = begin("execute", 8);

	(void)state;
	x.nx = true;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_fetches(&x, 1, 3);
	add_fetches(&x, 5, 2);
	add_resolves(&x, 1, false);
	add_resolves(&x, 5, false);
	add_touches(&x, 1, true, 3);
	add_recovery(&x, 0, PAGES, 1);
	add_recovery(&x, 4, PAGES, 3);
	add_recovery(&x, 1, 9, 2);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_protect(&x, 0, 4, EPT_R | EPT_W);
	add_protect(&x, 0, 4, EPT_RWX);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 3);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void arrivals_in_large_pieces_are_not_executed(void **state)
{
	struct explore x = begin("execute arrivals", 40);

	(void)state;
	x.nx = true;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_fetches(&x, 1, 2);
	add_resolves(&x, 1, false);
	add_recovery(&x, 0, PAGES, 2);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_at(&x, STEP_FREEZE, 0, PG_LEVEL_2M);
	add_thaws(&x);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
}

/* test_ept_explore_access [PATTERN]: only the scenes whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_write_is_missed_by_dirty_bits),
		cmocka_unit_test(no_write_is_missed_by_faults),
		cmocka_unit_test(arrivals_under_tracking),
		cmocka_unit_test(arrivals_under_tracking_by_faults),
		cmocka_unit_test(what_is_frozen_stands_still_for_all_others),
		cmocka_unit_test(nobody_reaches_the_old_frame_after_the_sync),
		cmocka_unit_test(writes_do_not_leak_between_an_original_and_its_clone),
		cmocka_unit_test(copies_under_tracking),
		cmocka_unit_test(no_fetch_goes_through_a_large_leaf),
		cmocka_unit_test(arrivals_in_large_pieces_are_not_executed),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("every sequence on the toy geometry: accesses", tests,
					   NULL, NULL);
}
