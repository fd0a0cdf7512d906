/* SPDX-License-Identifier: MIT */
/*
 * What must hold on the real geometry of what arrives: the ladder, holes, duplicates; of maps and
 * unmaps; and of a shortage of table pages. Each test's name is the claim.
 */
#include "tests/host/ept_case.h"

/* --- the ladder ----------------------------------------------------------------------------- */

/* 1 GiB, 512 MiB, 256 MiB, ... 4 KiB, each with its own byte, the last 4 KiB left out. */
static void climb(void)
{
	uint64_t frames = F_1G;
	gfn_t gfn = 0;

	map(0, 2 * F_1G, EPT_ABSENT);
	for (uint8_t rung = 1; frames; rung++, frames /= 2) {
		enum pg_level level = frames >= F_1G   ? PG_LEVEL_1G
				      : frames >= F_2M ? PG_LEVEL_2M
						       : PG_LEVEL_4K;
		gfn_t stop = gfn + frames;

		w.pouring = (uint8_t)(0x40 + rung);
		for (; gfn < stop; gfn += level_frames(level))
			at(STEP_ARRIVE, (unsigned int)gfn, level);
	}
	assert_int_equal(gfn, 2 * F_1G - 1);
}

static void ladder_leaves_one_leaf_of_1g_511_of_2m_511_of_4k_and_one_hole(void **state)
{
	struct ept_census census;

	(void)state;
	climb();
	ept_census(&w.ept, 0, 2 * F_1G, &census);
	assert_int_equal(census.kind[EPT_PRESENT][PG_LEVEL_1G], 1);
	assert_int_equal(census.kind[EPT_PRESENT][PG_LEVEL_2M], 511);
	assert_int_equal(census.kind[EPT_PRESENT][PG_LEVEL_4K], 511);
	assert_int_equal(census.kind[EPT_ABSENT][PG_LEVEL_4K], 1);
	assert_int_equal(census.kind[EPT_ABSENT][PG_LEVEL_2M], 0);
	assert_int_equal(census.kind[EPT_NONE][PG_LEVEL_4K], 0);
	verify();
}

static void how_full_a_range_is_costs_one_walk_and_is_exact(void **state)
{
	enum pg_level level;

	(void)state;
	climb();
	assert_int_equal(ept_filled(&w.ept, 5, &level), F_2M);
	assert_int_equal(level, PG_LEVEL_1G);
	assert_int_equal(ept_filled(&w.ept, F_1G + 5, &level), F_2M);
	assert_int_equal(level, PG_LEVEL_2M);
	assert_int_equal(ept_filled(&w.ept, 2 * F_1G - 1, &level), F_2M - 1);
	assert_int_equal(level, PG_LEVEL_4K);
	assert_int_equal(ept_filled(&w.ept, 2 * F_1G, &level), 0);
	assert_int_equal(ept_filled(&w.ept, UINT64_MAX, &level), 0);
	at(STEP_POISON, 2 * F_1G - 3, PG_LEVEL_4K);
	assert_int_equal(ept_filled(&w.ept, 2 * F_1G - 1, &level), F_2M - 2);
}

static void ladder_shows_each_byte_of_each_rung(void **state)
{
	unsigned int gfn = 0;
	uint8_t rung = 1;

	(void)state;
	climb();
	for (unsigned int frames = F_1G; frames; frames /= 2, rung++)
		for (unsigned int i = 0; i < frames; i++, gfn++) {
			struct tlb_access a;

			assert_int_equal(tlb_use(&w.tlb, &w.ept, gfn, false, 0, &a), TLB_HIT);
			assert_int_equal(w.memory[(a.frame - WORLD_BACKING) >> PAGE_SHIFT],
					 0x40 + rung);
		}
	assert_int_equal(gfn, 2 * F_1G - 1);
}

static void the_hole_asks_for_exactly_its_4k_page_once(void **state)
{
	const gpa_t last_byte = gpa(2 * GIB - 1);
	gfn_t hole = gpa_to_gfn(last_byte);
	struct tlb_access a;
	struct ept_state s;

	(void)state;
	climb();
	assert_int_equal(tlb_use(&w.tlb, &w.ept, hole, false, 0, &a), TLB_VIOLATION);
	assert_int_equal(ept_request(ept_cpu(&w.ept, 0), hole), 0);
	assert_int_equal(ept_request(ept_cpu(&w.ept, 1), hole), EPT_ASKED);
	assert_int_equal(stats()->requests, 1);
	s = ept_lookup(&w.ept, hole);
	assert_int_equal(s.kind, EPT_ABSENT);
	assert_int_equal(s.level, PG_LEVEL_4K);
	assert_true(s.requested);
	assert_false(ept_lookup(&w.ept, hole - 1).requested);
	w.ref.page[hole].requested = true;
	verify();
}

static void collapse_refuses_a_hole_and_counts_it(void **state)
{
	struct ept_collapse_result r;

	(void)state;
	climb();
	assert_int_equal(ept_collapse(ept_cpu(&w.ept, 0), F_1G, PG_LEVEL_1G, &w.gather), EPT_HOLE);
	assert_int_equal(stats()->refused[ept_nr(EPT_HOLE)], 1);
	ept_collapse_range(ept_cpu(&w.ept, 0), 0, 2 * F_1G, &w.gather, &r);
	assert_int_equal(r.refused[ept_nr(EPT_HOLE)], 1);
	assert_int_equal(r.collapsed, 0);
	for (unsigned int nr = 0; nr < EPT_REFUSALS_N; nr++)
		assert_int_equal(r.refused[nr], nr == ept_nr(EPT_HOLE));
	assert_int_equal(stats()->refused[ept_nr(EPT_HOLE)], 2);
	assert_false(w.gather.owed);
	assert_leaves(1, 511, 511, 4);
	verify();
}

static void filling_the_hole_collapses_all_and_doing_so_again_owes_no_flush(void **state)
{
	struct ept_claim claim;
	unsigned int flushes;

	(void)state;
	climb();
	w.pouring = 0x77;
	at(STEP_ARRIVE, 2 * F_1G - 1, PG_LEVEL_4K);
	at(STEP_COLLAPSE, 2 * F_1G - 1, PG_LEVEL_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(2, 0, 0, 2);
	assert_int_equal(stats()->tables_freed, 2);
	flushes = w.flushes;
	assert_int_equal(ept_collapse(ept_cpu(&w.ept, 0), F_1G, PG_LEVEL_1G, &w.gather), 0);
	range(STEP_COLLAPSE_RANGE, 0, 2 * F_1G);
	assert_false(w.gather.owed);
	ept_sync(&w.gather);
	assert_int_equal(w.flushes, flushes);
	assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), 5, PG_LEVEL_4K, &claim), EPT_HERE);
	touch(2 * F_1G - 1, false, 0);
	touch(2 * F_1G - 2, false, 0);
	verify();
}

/* --- arrivals ------------------------------------------------------------------------------- */

static void one_arrival_shows_none_of_its_neighbours(void **state)
{
	const unsigned int here = 300 * F_2M + 77;
	struct ept_state leaf;

	(void)state;
	map(0, F_1G, EPT_ABSENT);
	at(STEP_ARRIVE, here, PG_LEVEL_4K);
	for (gfn_t gfn = 0; gfn < F_1G; gfn++)
		assert_int_equal(tlb_peek(&w.ept, gfn, &leaf),
				 gfn == here ? TLB_HIT : TLB_VIOLATION);
	assert_leaves(0, 0, 1, 4);
	assert_int_equal(stats()->splits_absent, 2);
	assert_int_equal(w.flushes, 0);
	verify();
}

static void a_gib_of_4k_pages_needs_2_mib_and_8_kib_of_tables(void **state)
{
	bool full = false;

	(void)state;
	map(0, F_1G, EPT_ABSENT);
	for (unsigned int gfn = 0; gfn < F_1G; gfn++) {
		struct ept_claim claim;

		assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), gfn, PG_LEVEL_4K, &claim), 0);
		full = ept_publish(ept_cpu(&w.ept, 0), &claim);
		assert_int_equal(full, gfn % F_2M == F_2M - 1);
	}
	/* Beside the root: 512 tables of 4 KiB entries, one of 2 MiB, one of 1 GiB. */
	assert_leaves(0, 0, F_1G, 1 + 514);
	assert_int_equal(w.in_use, 1 + 514);
	assert_int_equal(stats()->arrivals, F_1G);
}

/* Filled and in place: the walk that knows its geometry takes all bits of each index. */
static void pages_whose_addresses_differ_in_one_bit_are_different_pages(void **state)
{
	(void)state;
	map(0, 2 * F_1G, EPT_ABSENT);
	at(STEP_ARRIVE, 1, PG_LEVEL_4K);
	for (unsigned int bit = 4; 1u << bit < 2 * F_1G; bit++) {
		at(STEP_ARRIVE, 1u << bit, PG_LEVEL_4K);
		at(STEP_ARRIVE, 1u << bit | 3, PG_LEVEL_4K);
	}
	verify();
}

static void a_gib_of_4k_pages_collapses_to_one_leaf_with_few_flushes(void **state)
{
	(void)state;
	map(0, F_1G, EPT_ABSENT);
	range(STEP_ARRIVE_ALL, 0, 1);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	for (unsigned int gfn = 0; gfn < F_1G; gfn += F_2M) {
		at(STEP_SPLIT, gfn, PG_LEVEL_4K);
		range(STEP_ARRIVE_ALL, gfn, F_2M);
	}
	assert_leaves(0, 0, F_1G, 515);
	range(STEP_COLLAPSE_RANGE, 0, F_1G);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(1, 0, 0, 2);
	assert_int_equal(stats()->collapses, 513);
	assert_int_equal(stats()->tables_freed, 513);
	assert_int_equal(w.flushes, (513 + EPT_GATHER_MAX - 1) / EPT_GATHER_MAX);
	verify();
}

static void a_duplicate_is_dropped_and_counted_and_the_guests_data_stands(void **state)
{
	struct ept_claim claim;

	(void)state;
	map(0, F_1G, EPT_ABSENT);
	at(STEP_ARRIVE, 9, PG_LEVEL_4K);
	touch(9, true, 0);
	assert_int_equal(w.memory[9], CONTENT_GUEST);
	assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), 9, PG_LEVEL_4K, &claim), EPT_HERE);
	assert_int_equal(stats()->duplicates, 1);
	assert_int_equal(w.memory[9], CONTENT_GUEST);
	/* Under way: also a duplicate. Larger than what is there: the caller takes smaller pieces.
	 */
	at(STEP_FILL, 10, PG_LEVEL_4K);
	assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), 10, PG_LEVEL_4K, &claim), EPT_BUSY);
	assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), 0, PG_LEVEL_2M, &claim), EPT_SMALLER);
	assert_int_equal(stats()->duplicates, 2);
	at(STEP_PUBLISH, 0, PG_LEVEL_NONE);
	assert_int_equal(stats()->arrivals, 2);
	at(STEP_ARRIVE, F_2M, PG_LEVEL_2M);
	assert_int_equal(ept_fill(ept_cpu(&w.ept, 0), F_2M + 3, PG_LEVEL_4K, &claim), EPT_HERE);
	assert_int_equal(stats()->duplicates, 3);
	verify();
}

static void a_claim_given_up_is_absent_and_still_requested(void **state)
{
	(void)state;
	map(0, F_1G, EPT_ABSENT);
	at(STEP_REQUEST, 9, PG_LEVEL_NONE);
	at(STEP_FILL, 9, PG_LEVEL_4K);
	at(STEP_GIVE_UP, 0, PG_LEVEL_NONE);
	assert_true(ept_lookup(&w.ept, 9).requested);
	assert_int_equal(ept_lookup(&w.ept, 9).kind, EPT_ABSENT);
	at(STEP_ARRIVE, 9, PG_LEVEL_4K);
	verify();
}

static void fill_refuses_levels_and_addresses_that_make_no_sense(void **state)
{
	struct ept_cpu *me = ept_cpu(&w.ept, 0);
	struct ept_claim claim;

	(void)state;
	map(0, F_1G, EPT_ABSENT);
	assert_int_equal(ept_fill(me, 1, PG_LEVEL_2M, &claim), EPT_INVALID);
	assert_int_equal(ept_fill(me, F_2M, PG_LEVEL_1G, &claim), EPT_INVALID);
	assert_int_equal(ept_fill(me, 0, PG_LEVEL_512G, &claim), EPT_INVALID);
	assert_int_equal(ept_fill(me, 0, PG_LEVEL_NONE, &claim), EPT_INVALID);
	assert_int_equal(ept_fill(me, F_1G, PG_LEVEL_4K, &claim), EPT_UNMAPPED);
	assert_int_equal(ept_fill(me, UINT64_C(1) << 36, PG_LEVEL_4K, &claim), EPT_UNMAPPED);
	assert_int_equal(ept_arrive_in_place(me, UINT64_C(1) << 36), EPT_UNMAPPED);
	assert_int_equal(ept_arrive_in_place(me, UINT64_MAX), EPT_UNMAPPED);
	assert_int_equal(ept_request(me, UINT64_C(1) << 36), EPT_UNMAPPED);
	assert_int_equal(ept_request(me, UINT64_MAX), EPT_UNMAPPED);
	verify();
}

/* --- maps and unmaps -------------------------------------------------------------------------- */

static void map_uses_the_largest_leaves_that_fit(void **state)
{
	(void)state;
	map(F_2M - 1, F_1G + 2, EPT_PRESENT);
	assert_leaves(0, 512, 2, 6);
	verify();
}

static void map_refuses_what_is_taken_or_outside_and_changes_nothing(void **state)
{
	struct ept_cpu *me = ept_cpu(&w.ept, 0);
	const uint64_t space = UINT64_C(1) << 36;

	(void)state;
	map(F_2M, F_2M, EPT_ABSENT);
	assert_int_equal(ept_map(me, 0, F_2M + 1, hpa(0), EPT_RWX, EPT_WB, EPT_PRESENT), EPT_HERE);
	assert_int_equal(ept_map(me, F_2M + 5, 1, hpa(0), EPT_RWX, EPT_WB, EPT_ABSENT), EPT_HERE);
	assert_int_equal(ept_map(me, space - 1, 2, hpa(0), EPT_RWX, EPT_WB, EPT_ABSENT),
			 EPT_INVALID);
	assert_int_equal(ept_map(me, UINT64_MAX, 2, hpa(0), EPT_RWX, EPT_WB, EPT_ABSENT),
			 EPT_INVALID);
	assert_int_equal(ept_map(me, 0, 0, hpa(0), EPT_RWX, EPT_WB, EPT_ABSENT), EPT_INVALID);
	assert_int_equal(ept_map(me, 0, 1, hpa(1), EPT_RWX, EPT_WB, EPT_ABSENT), EPT_INVALID);
	assert_int_equal(ept_map(me, 0, 1, hpa(0), EPT_RWX, EPT_WB, EPT_POISON), EPT_INVALID);
	verify();
	assert_int_equal(ept_map(me, space - 1, 1, hpa(0), EPT_RWX, EPT_WB, EPT_ABSENT), 0);
	assert_int_equal(ept_unmap(me, space - 1, 1, &w.gather), 0);
	ept_sync(&w.gather);
}

static void unmap_of_a_page_keeps_all_others_of_its_leaf(void **state)
{
	const unsigned int gone = 100 * F_2M + 50;
	struct ept_state leaf;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	touch(gone, true, 0);
	range(STEP_UNMAP, gone, 1);
	assert_true(w.gather.owed);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	for (gfn_t gfn = 0; gfn < F_1G; gfn++)
		assert_int_equal(tlb_peek(&w.ept, gfn, &leaf),
				 gfn == gone ? TLB_VIOLATION : TLB_HIT);
	verify();
}

/* --- shortage ----------------------------------------------------------------------------------
 */

/* One GiB absent, and one present that hardware has written to. */
static void begin_again(void)
{
	world_fini(&w);
	world_init(&w, format, PG_LEVEL_1G, 2 * F_1G, 4 * F_1G, TABLES);
	map(0, F_1G, EPT_ABSENT);
	map(F_1G, F_2M * 4, EPT_PRESENT);
	touch(F_1G + 5, true, 0);
}

/* Each allocation fails once, each time in a fresh world; then it is done again, with success. */
static void starve(struct step s, unsigned int allocs)
{
	begin_again();
	step(s);
	assert_int_equal(w.allocs, allocs);
	for (unsigned int nth = 1; nth <= allocs; nth++) {
		begin_again();
		(void)world_step_fails(&w, &s, nth);
		assert_fine(&w);
		step(s);
		verify();
	}
}

static void an_arrival_without_a_table_changes_no_page_and_succeeds_later(void **state)
{
	(void)state;
	starve((struct step){ .code = STEP_ARRIVE, .gfn = 77, .level = PG_LEVEL_4K }, 2);
	starve((struct step){ .code = STEP_ARRIVE, .gfn = F_2M, .level = PG_LEVEL_2M }, 1);
	starve((struct step){ .code = STEP_REQUEST, .gfn = F_1G - 1 }, 2);
}

static void a_split_without_a_table_changes_no_page_and_succeeds_later(void **state)
{
	(void)state;
	starve((struct step){ .code = STEP_SPLIT, .gfn = F_1G + 5, .level = PG_LEVEL_4K }, 1);
	starve((struct step){ .code = STEP_SPLIT, .gfn = 5, .level = PG_LEVEL_4K }, 2);
	starve((struct step){ .code = STEP_POISON, .gfn = 5 }, 2);
	starve((struct step){ .code = STEP_POISON, .gfn = F_1G + F_2M }, 1);
}

static void a_map_or_unmap_without_a_table_changes_no_page_and_succeeds_later(void **state)
{
	(void)state;
	starve((struct step){ .code = STEP_MAP,
			      .gfn = F_1G + 8 * F_2M - 1,
			      .frames = F_2M + 2,
			      .backing = F_1G + 8 * F_2M - 1,
			      .kind = EPT_PRESENT,
			      .perms = EPT_RWX,
			      .memtype = EPT_WB },
	       2);
	starve((struct step){ .code = STEP_UNMAP, .gfn = F_1G + 5, .frames = F_2M }, 2);
	starve((struct step){ .code = STEP_UNMAP, .gfn = F_1G - 5, .frames = 10 }, 3);
}

/* With a table less each time than the map needs. */
static void a_map_that_finds_no_table_leaves_none_behind(void **state)
{
	struct ept_cpu *me = ept_cpu(&w.ept, 0);

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		w.allocs = 0;
		w.fail_at = 3;
		assert_int_equal(ept_map(me, 5, 1, hpa(WORLD_BACKING), EPT_RWX, EPT_WB, EPT_ABSENT),
				 EPT_NO_TABLE);
		assert_leaves(0, 0, 0, 1);
	}
	/* Some of it is mapped, and some tables are made for the rest. */
	w.allocs = 0;
	w.fail_at = 4;
	assert_int_equal(ept_map(me, F_1G - F_2M, F_2M + 1, hpa(WORLD_BACKING + 2 * MIB), EPT_RWX,
				 EPT_WB, EPT_PRESENT),
			 EPT_NO_TABLE);
	w.fail_at = 0;
	assert_leaves(0, 0, 0, 1);
	map(0, 2 * F_1G, EPT_PRESENT);
	assert_leaves(2, 0, 0, 2);
	verify();
}

static void a_map_where_all_was_unmapped_page_by_page_gets_the_largest_leaf(void **state)
{
	(void)state;
	map(77, 1, EPT_PRESENT);
	range(STEP_UNMAP, 77, 1);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(0, 0, 0, 1);
	map(0, F_1G, EPT_PRESENT);
	assert_leaves(1, 0, 0, 2);
	at(STEP_SPLIT, 5 * F_2M, PG_LEVEL_4K);
	for (unsigned int gfn = 0; gfn < F_1G; gfn += 64) {
		range(STEP_UNMAP, gfn, 64);
		at(STEP_SYNC, 0, PG_LEVEL_NONE);
	}
	assert_leaves(0, 0, 0, 1);
	map(0, F_1G, EPT_PRESENT);
	assert_leaves(1, 0, 0, 2);
	verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(ladder_leaves_one_leaf_of_1g_511_of_2m_511_of_4k_and_one_hole),
		CASE(how_full_a_range_is_costs_one_walk_and_is_exact),
		CASE(ladder_shows_each_byte_of_each_rung),
		CASE(the_hole_asks_for_exactly_its_4k_page_once),
		CASE(collapse_refuses_a_hole_and_counts_it),
		CASE(filling_the_hole_collapses_all_and_doing_so_again_owes_no_flush),
		CASE(one_arrival_shows_none_of_its_neighbours),
		CASE(a_gib_of_4k_pages_needs_2_mib_and_8_kib_of_tables),
		CASE(pages_whose_addresses_differ_in_one_bit_are_different_pages),
		CASE(a_gib_of_4k_pages_collapses_to_one_leaf_with_few_flushes),
		CASE(a_duplicate_is_dropped_and_counted_and_the_guests_data_stands),
		CASE(a_claim_given_up_is_absent_and_still_requested),
		CASE(fill_refuses_levels_and_addresses_that_make_no_sense),
		CASE(map_uses_the_largest_leaves_that_fit),
		CASE(map_refuses_what_is_taken_or_outside_and_changes_nothing),
		CASE(unmap_of_a_page_keeps_all_others_of_its_leaf),
		CASE(an_arrival_without_a_table_changes_no_page_and_succeeds_later),
		CASE(a_split_without_a_table_changes_no_page_and_succeeds_later),
		CASE(a_map_that_finds_no_table_leaves_none_behind),
		CASE(a_map_where_all_was_unmapped_page_by_page_gets_the_largest_leaf),
		CASE(a_map_or_unmap_without_a_table_changes_no_page_and_succeeds_later),
	};

	return cmocka_run_group_tests_name("the second stage: arrivals", tests, NULL, NULL);
}
