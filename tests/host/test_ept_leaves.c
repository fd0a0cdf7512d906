/* SPDX-License-Identifier: MIT */
/*
 * What must hold on the real geometry of leaves that are there: splits, late bits, collapse and its
 * counters, poison. Each test's name is the claim.
 */
#include "tests/host/ept_case.h"

/* --- present leaves -------------------------------------------------------------------------- */

static void a_split_keeps_translation_rights_and_bits_and_a_collapse_gives_them_back(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	touch(5, true, 0);
	at(STEP_SPLIT, 7 * F_2M + 3, PG_LEVEL_4K);
	assert_leaves(0, 511, 512, 4);
	assert_true(w.gather.owed);
	assert_true(ept_lookup(&w.ept, F_1G - 1).dirty);
	assert_true(ept_lookup(&w.ept, 7 * F_2M).accessed);
	verify();
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	at(STEP_COLLAPSE, 7 * F_2M, PG_LEVEL_1G);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(1, 0, 0, 2);
	assert_true(ept_lookup(&w.ept, 0).dirty);
	verify();
}

static void a_write_in_the_middle_of_a_split_is_not_lost(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	step((struct step){ .code = STEP_SPLIT, .level = PG_LEVEL_4K, .also = 99, .write = true });
	assert_true(ept_lookup(&w.ept, 99).dirty);
	assert_true(ept_lookup(&w.ept, F_1G - 1).dirty);
	verify();
}

static void late_bits_of_a_stale_walk_survive_the_collapse(void **state)
{
	(void)state;
	map(0, F_2M, EPT_ABSENT);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	range(STEP_ARRIVE_ALL, 0, F_2M);
	touch(3, false, 0);
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	assert_false(ept_lookup(&w.ept, 0).dirty);
	/* The CPU still knows a pointer to the old table: root, 1 GiB, 2 MiB, then this one. */
	touch(3, true, 3);
	assert_false(ept_lookup(&w.ept, 0).dirty);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_true(ept_lookup(&w.ept, 0).dirty);
	assert_int_equal(stats()->late_bits, 1);
	verify();
}

static void late_bits_find_the_page_also_where_it_was_split_again(void **state)
{
	(void)state;
	map(0, F_2M, EPT_ABSENT);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	range(STEP_ARRIVE_ALL, 0, F_2M);
	touch(3, false, 0);
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	touch(3, true, 3);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_true(ept_lookup(&w.ept, 3).dirty);
	verify();
}

static void a_table_is_freed_after_the_flush_and_junk_filled(void **state)
{
	uint64_t path[PG_LEVEL_MAX], old;

	(void)state;
	map(0, F_2M, EPT_ABSENT);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	range(STEP_ARRIVE_ALL, 0, F_2M);
	touch(3, false, 0);
	ept_path(&w.ept, 0, path);
	old = (path[PG_LEVEL_2M] & format->addr) - WORLD_TABLES;
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	assert_int_equal(w.frames[old >> PAGE_SHIFT].state, FRAME_USED);
	assert_int_equal(w.flushes, 0);
	assert_true(w.tables[old] != FRAME_JUNK);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(w.flushes, 1);
	assert_int_equal(w.frames[old >> PAGE_SHIFT].state, FRAME_FREE);
	assert_int_equal(w.tables[old], FRAME_JUNK);
	verify();
}

/* --- collapse and its counters -----------------------------------------------------------------
 */

static void arrive_and_collapse_2m(unsigned int gfn)
{
	range(STEP_ARRIVE_ALL, gfn, F_2M);
	at(STEP_COLLAPSE, gfn, PG_LEVEL_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
}

static void leaf_counters_are_right_after_collapse_unmap_and_filling_again(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		map(0, F_2M, EPT_ABSENT);
		at(STEP_ARRIVE, 17, PG_LEVEL_4K);
		assert_leaves(0, 0, 1, 4);
		arrive_and_collapse_2m(0);
		assert_leaves(0, 1, 0, 3);
		range(STEP_UNMAP, 0, F_2M);
		at(STEP_SYNC, 0, PG_LEVEL_NONE);
		assert_leaves(0, 0, 0, 1);
		verify();
	}
}

static void collapse_undoes_whatever_made_a_table_small(void **state)
{
	const enum ept_why why[] = { EPT_WHY_MAP,   EPT_WHY_ARRIVAL, EPT_WHY_ASKED,
				     EPT_WHY_DIRTY, EPT_WHY_POISON,  EPT_WHY_COW };

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		assert_int_equal(ept_split(ept_cpu(&w.ept, 0), 5, PG_LEVEL_4K, why[i], &w.gather),
				 0);
		assert_leaves(0, 511, 512, 4);
		assert_int_equal(ept_collapse(ept_cpu(&w.ept, 0), 5, PG_LEVEL_2M, &w.gather), 2);
		assert_leaves(1, 0, 0, 2);
		ept_sync(&w.gather);
	}
	verify();
}

/* KVM lost the effect of MADV_COLLAPSE because it guessed why a mapping was small. */
static void what_is_executed_stays_small_until_it_is_recovered(void **state)
{
	struct ept_cpu *me = ept_cpu(&w.ept, 0);
	gfn_t next = 0;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	assert_int_equal(ept_split(me, 5, PG_LEVEL_4K, EPT_WHY_NX, &w.gather), 0);
	assert_int_equal(ept_collapse(me, 5, PG_LEVEL_2M, &w.gather), EPT_EXECUTED);
	assert_int_equal(ept_collapse(me, 5, PG_LEVEL_1G, &w.gather), EPT_EXECUTED);
	assert_leaves(0, 511, 512, 4);
	assert_int_equal(stats()->refused[ept_nr(EPT_EXECUTED)], 2);
	assert_int_equal(ept_recover_nx(me, &next, F_1G, 512, &w.gather), 2);
	assert_int_equal(next, F_1G);
	assert_leaves(1, 0, 0, 2);
	ept_sync(&w.gather);
	verify();
}

static void scattered_mixed_poisoned_and_busy_tables_are_refused_each_by_its_name(void **state)
{
	struct ept_collapse_result r;
	struct ept_claim claim;
	struct ept_cpu *me = ept_cpu(&w.ept, 0);
	const uint64_t mib = WORLD_BACKING + MIB;

	(void)state;
	/* 0: backing not aligned. 1: two backings. 2: rights differ. 3: types differ. */
	assert_int_equal(ept_map(me, 0, F_2M, hpa(mib), EPT_RWX, EPT_WB, EPT_PRESENT), 0);
	assert_int_equal(ept_map(me, F_2M, 1, hpa(mib + GIB), EPT_RWX, EPT_WB, EPT_PRESENT), 0);
	assert_int_equal(ept_map(me, F_2M + 1, 511, hpa(WORLD_BACKING + 2 * GIB + PAGE_SIZE),
				 EPT_RWX, EPT_WB, EPT_PRESENT),
			 0);
	assert_int_equal(ept_map(me, 2 * F_2M, 1, hpa(WORLD_BACKING), EPT_R, EPT_WB, EPT_PRESENT),
			 0);
	assert_int_equal(ept_map(me, 2 * F_2M + 1, 511, hpa(WORLD_BACKING + PAGE_SIZE), EPT_RWX,
				 EPT_WB, EPT_PRESENT),
			 0);
	assert_int_equal(
		ept_map(me, 3 * F_2M, 511, hpa(WORLD_BACKING), EPT_RWX, EPT_WB, EPT_PRESENT), 0);
	assert_int_equal(ept_map(me, 4 * F_2M - 1, 1, hpa(WORLD_BACKING + 511 * PAGE_SIZE), EPT_RWX,
				 EPT_UC, EPT_PRESENT),
			 0);
	assert_int_equal(
		ept_map(me, 4 * F_2M, 2 * F_2M, hpa(WORLD_BACKING), EPT_RWX, EPT_WB, EPT_ABSENT),
		0);
	assert_int_equal(ept_poison(me, 4 * F_2M + 128, &w.gather), 0);
	for (unsigned int i = 0; i < F_2M; i++)
		if (i != 128) {
			assert_int_equal(ept_fill(me, 4 * F_2M + i, PG_LEVEL_4K, &claim), 0);
			assert_false(ept_publish(me, &claim));
		}
	assert_int_equal(ept_fill(me, 5 * F_2M, PG_LEVEL_4K, &claim), 0);
	assert_int_equal(ept_collapse(me, 0, PG_LEVEL_2M, &w.gather), EPT_SCATTERED);
	assert_int_equal(ept_collapse(me, F_2M, PG_LEVEL_2M, &w.gather), EPT_SCATTERED);
	assert_int_equal(ept_collapse(me, 2 * F_2M, PG_LEVEL_2M, &w.gather), EPT_MIXED);
	assert_int_equal(ept_collapse(me, 3 * F_2M, PG_LEVEL_2M, &w.gather), EPT_MIXED);
	assert_int_equal(ept_collapse(me, 4 * F_2M, PG_LEVEL_2M, &w.gather), EPT_LOST);
	assert_int_equal(ept_collapse(me, 5 * F_2M, PG_LEVEL_2M, &w.gather), EPT_BUSY);
	ept_collapse_range(me, 0, 6 * F_2M, &w.gather, &r);
	assert_int_equal(r.refused[ept_nr(EPT_SCATTERED)], 2);
	assert_int_equal(r.refused[ept_nr(EPT_MIXED)], 2);
	assert_int_equal(r.refused[ept_nr(EPT_LOST)], 1);
	assert_int_equal(r.refused[ept_nr(EPT_BUSY)], 1);
	assert_int_equal(r.collapsed + r.refused[ept_nr(EPT_HOLE)], 0);
	assert_int_equal(stats()->refused[ept_nr(EPT_SCATTERED)], 4);
	assert_int_equal(stats()->refused[ept_nr(EPT_MIXED)], 4);
	assert_int_equal(stats()->refused[ept_nr(EPT_LOST)], 2);
	assert_int_equal(stats()->refused[ept_nr(EPT_BUSY)], 2);
	assert_int_equal(stats()->collapses, 0);
	ept_give_up(me, &claim);
	ept_sync(&w.gather);
}

static void nothing_grows_beyond_the_largest_leaf_that_is_allowed(void **state)
{
	struct ept_claim claim;

	(void)state;
	world_fini(&w);
	world_init(&w, format, PG_LEVEL_2M, 2 * F_1G, 4 * F_1G, TABLES);
	map(0, F_1G, EPT_ABSENT);
	assert_int_equal(ept_lookup(&w.ept, 0).level, PG_LEVEL_2M);
	for (unsigned int gfn = 0; gfn < F_1G; gfn += F_2M) {
		assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), gfn, PG_LEVEL_2M, &claim), 0);
		assert_false(ept_publish(ept_cpu(&w.ept, 0), &claim));
	}
	assert_int_equal(ept_collapse(ept_cpu(&w.ept, 0), 0, PG_LEVEL_1G, &w.gather), EPT_INVALID);
	assert_leaves(0, 512, 0, 3);
}

/* --- poison ---------------------------------------------------------------------------------- */

static void poison_takes_single_pages_and_leaves_their_neighbours(void **state)
{
	const unsigned int lost[] = { 0, 128, 256 };

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
		at(STEP_POISON, lost[i], PG_LEVEL_NONE);
		assert_int_equal(ept_poison(ept_cpu(&w.ept, 0), lost[i], &w.gather), EPT_LOST);
	}
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(stats()->poisoned, 3);
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	range(STEP_COLLAPSE_RANGE, 0, F_1G);
	for (unsigned int gfn = 0; gfn < F_2M; gfn++)
		assert_int_equal(ept_lookup(&w.ept, gfn).kind,
				 gfn % 128 || gfn > 256 ? EPT_PRESENT : EPT_POISON);
	assert_int_equal(ept_request(ept_cpu(&w.ept, 0), 128), EPT_LOST);
	verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_split_keeps_translation_rights_and_bits_and_a_collapse_gives_them_back),
		CASE(a_write_in_the_middle_of_a_split_is_not_lost),
		CASE(late_bits_of_a_stale_walk_survive_the_collapse),
		CASE(late_bits_find_the_page_also_where_it_was_split_again),
		CASE(a_table_is_freed_after_the_flush_and_junk_filled),
		CASE(leaf_counters_are_right_after_collapse_unmap_and_filling_again),
		CASE(collapse_undoes_whatever_made_a_table_small),
		CASE(what_is_executed_stays_small_until_it_is_recovered),
		CASE(scattered_mixed_poisoned_and_busy_tables_are_refused_each_by_its_name),
		CASE(nothing_grows_beyond_the_largest_leaf_that_is_allowed),
		CASE(poison_takes_single_pages_and_leaves_their_neighbours),
	};

	return cmocka_run_group_tests_name("the second stage: leaves", tests, NULL, NULL);
}
