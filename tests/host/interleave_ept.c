/* SPDX-License-Identifier: MIT */
/*
 * Two or three CPUs at once on the toy geometry, in all orders with few preemptions: see
 * model/interleave.h. Each test is a scene; its name is what must hold in every order.
 */
#include "tests/host/interleave_case.h"

/* In one table: pages 0 and 1 are here, 2 and 3 are not. */
static void half(struct crowd_cpu *cpu)
{
	absent(cpu);
	arrive(cpu, 0, PG_LEVEL_4K);
	arrive(cpu, 1, PG_LEVEL_4K);
}

_Static_assert(EPT_GATHER_MAX < INTERLEAVE_TABLES / 2,
	       "the tables run out before a gather is full");

/* Single entries, and one more table makes CPU 0's gather flush. */
static void present_small_gather_full(struct crowd_cpu *cpu)
{
	present(cpu);
	split(cpu, 0);
	while (cpu->gather.n < EPT_GATHER_MAX) {
		collapse(cpu, 4, PG_LEVEL_2M);
		split(cpu, 4);
	}
	crowd_pause(cpu);
}

/* --- what CPUs do --- */

static void arrive_0(struct crowd_cpu *cpu)
{
	arrive(cpu, 0, PG_LEVEL_4K);
}

static void arrive_1(struct crowd_cpu *cpu)
{
	arrive(cpu, 1, PG_LEVEL_4K);
}

static void arrive_2(struct crowd_cpu *cpu)
{
	arrive(cpu, 2, PG_LEVEL_4K);
}

static void arrive_3(struct crowd_cpu *cpu)
{
	arrive(cpu, 3, PG_LEVEL_4K);
}

static void arrive_2m(struct crowd_cpu *cpu)
{
	arrive(cpu, 0, PG_LEVEL_2M);
}

static void claim_and_give_up(struct crowd_cpu *cpu)
{
	struct ept_claim claim;

	if (ept_fill(cpu->me, 0, PG_LEVEL_4K, &claim) == 0)
		ept_give_up(cpu->me, &claim);
}

static void ask_0(struct crowd_cpu *cpu)
{
	seen.asked[0] += ept_request(cpu->me, 0) == 0;
}

static void ask_1(struct crowd_cpu *cpu)
{
	seen.asked[1] += ept_request(cpu->me, 1) == 0;
}

static void split_0(struct crowd_cpu *cpu)
{
	split(cpu, 0);
}

static void collapse_2m(struct crowd_cpu *cpu)
{
	collapse(cpu, 0, PG_LEVEL_2M);
}

static void collapse_1g(struct crowd_cpu *cpu)
{
	collapse(cpu, 0, PG_LEVEL_1G);
}

static void unmap(struct crowd_cpu *cpu, gfn_t gfn, uint64_t n)
{
	if (ept_unmap(cpu->me, gfn, n, &cpu->gather))
		crowd_fail(cpu, "unmap failed");
}

static void unmap_1_2(struct crowd_cpu *cpu)
{
	unmap(cpu, 1, 2);
}

static void unmap_all(struct crowd_cpu *cpu)
{
	unmap(cpu, 0, PAGES);
}

static void poison_1(struct crowd_cpu *cpu)
{
	int r = ept_poison(cpu->me, 1, &cpu->gather);

	if (r && r != EPT_BUSY)
		crowd_fail(cpu, "poison returned %d", r);
	seen.result[cpu->id] = r;
}

static void map_0(struct crowd_cpu *cpu)
{
	map(cpu, 0, 1, EPT_PRESENT);
}

static void map_1(struct crowd_cpu *cpu)
{
	map(cpu, 1, 1, EPT_ABSENT);
}

static void write_1(struct crowd_cpu *cpu)
{
	touch(cpu, 1, true, 0);
}

/* First the CPU learns pointers; then it walks by the last of them, however old. */
static void write_1_late(struct crowd_cpu *cpu)
{
	touch(cpu, 1, false, 0);
	touch(cpu, 1, true, cpu->tlb.npointers);
}

static void look_at_all(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < PAGES; gfn += 5)
		if (ept_lookup(&cpu->crowd->ept, gfn).kind != EPT_PRESENT)
			crowd_fail(cpu, "page %lu was not present for a moment", (long)gfn);
}

/* --- what must come of it --- */

static void page_0_is_here(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, PAGES, EPT_ABSENT);
	if (seen.fills[0] != 1)
		crowd_fail(cpu, "filled %u times", seen.fills[0]);
}

static void pages_0_and_1_are_here_in_one_table(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 2, EPT_PRESENT);
	expect(cpu, 2, PAGES, EPT_ABSENT);
	expect_tables(cpu, 3);
}

static void page_0_or_all_of_its_2m_is_here(struct crowd_cpu *cpu)
{
	bool large = seen.fills[1];

	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, 4, large ? EPT_PRESENT : EPT_ABSENT);
	expect(cpu, 4, PAGES, EPT_ABSENT);
}

static void the_last_one_collapsed_it(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 4, EPT_PRESENT);
	expect(cpu, 4, PAGES, EPT_ABSENT);
	if (ept_lookup(&cpu->crowd->ept, 0).level != PG_LEVEL_2M)
		crowd_fail(cpu, "complete, but nobody collapsed it");
}

static void all_is_here(struct crowd_cpu *cpu)
{
	expect(cpu, 0, PAGES, EPT_PRESENT);
}

static void all_is_one_leaf(struct crowd_cpu *cpu)
{
	expect(cpu, 0, PAGES, EPT_PRESENT);
	expect_tables(cpu, 1);
}

static void page_1_is_lost_alone(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, 2, EPT_POISON);
	expect(cpu, 2, PAGES, EPT_PRESENT);
}

/* Unless a larger piece was being filled: then it could not be. */
static void page_1_is_lost_or_was_busy(struct crowd_cpu *cpu)
{
	if (!seen.result[1])
		expect(cpu, 1, 2, EPT_POISON);
	expect(cpu, 4, PAGES, EPT_ABSENT);
}

static void pages_1_and_2_are_gone_alone(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, 3, EPT_NONE);
	expect(cpu, 3, PAGES, EPT_PRESENT);
}

static void pages_1_and_2_are_gone_the_others_absent(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_ABSENT);
	expect(cpu, 1, 3, EPT_NONE);
	expect(cpu, 3, PAGES, EPT_ABSENT);
}

static void all_is_gone(struct crowd_cpu *cpu)
{
	expect(cpu, 0, PAGES, EPT_NONE);
	expect_tables(cpu, 1);
}

static void each_was_asked_for_once(struct crowd_cpu *cpu)
{
	struct ept_state s = ept_lookup(&cpu->crowd->ept, 0);

	expect(cpu, 0, PAGES, EPT_ABSENT);
	if (seen.asked[0] != 1 || !s.requested)
		crowd_fail(cpu, "page 0 was asked for %u times", seen.asked[0]);
	s = ept_lookup(&cpu->crowd->ept, 1);
	if (seen.asked[1] != s.requested)
		crowd_fail(cpu, "page 1 was asked for, but is not marked");
}

static void both_are_mapped(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, 2, EPT_ABSENT);
	expect(cpu, 2, PAGES, EPT_NONE);
	expect_tables(cpu, 3);
}

/* One page is mapped in its table, and goes away with it while another is mapped there. */
static void one_page(struct crowd_cpu *cpu)
{
	nothing(cpu);
	map(cpu, 3, 1, EPT_PRESENT);
}

static void map_absent_0(struct crowd_cpu *cpu)
{
	if (ept_map(cpu->me, 0, 1, hpa(CROWD_BACKING), EPT_RWX, EPT_WB, EPT_ABSENT))
		crowd_fail(cpu, "map failed");
	seen.fills[0] = 1;
}

/* Mapped before or after the unmapping; a table that holds it is linked, says the checker. */
static void page_0_is_mapped_or_was(struct crowd_cpu *cpu)
{
	expect(cpu, 1, PAGES, EPT_NONE);
	if (ept_lookup(&cpu->crowd->ept, 0).kind == EPT_PRESENT || !seen.fills[0])
		crowd_fail(cpu, "page 0 is not what was mapped");
}

static void arrive_own(struct crowd_cpu *cpu)
{
	struct ept_claim claim;

	if (ept_fill(cpu->me, cpu->id, PG_LEVEL_4K, &claim) == 0 && ept_publish(cpu->me, &claim))
		crowd_fail(cpu, "two of four pages are said to be all");
}

/* --- the scenes --- */

SCENE(one_page_is_filled_once, 3, 2, absent, page_0_is_here, 0, arrive_0, arrive_0, arrive_0)
SCENE(a_claim_given_up_can_be_had_by_another, 2, 3, absent, nothing, 0, arrive_0, claim_and_give_up)
SCENE(two_pages_share_one_table, 2, 3, absent, pages_0_and_1_are_here_in_one_table, 0, arrive_0,
      arrive_1)
SCENE(a_page_and_its_2m_do_not_both_arrive, 2, 3, absent, page_0_or_all_of_its_2m_is_here, 0,
      arrive_0, arrive_2m)
SCENE(who_completes_a_table_collapses_it, 2, 3, half, the_last_one_collapsed_it, 3, arrive_2,
      arrive_3)
SCENE(a_request_is_made_once, 3, 2, absent, each_was_asked_for_once, 0, ask_0, ask_0, ask_1)
SCENE(a_request_never_hides_an_arrival, 2, 3, absent, page_0_is_here, 0, ask_0, arrive_0)
SCENE(collapse_and_split_keep_all_pages, 2, 2, present_small, all_is_here, ALL, collapse_1g,
      split_0)
SCENE(collapses_at_two_levels_become_one_leaf, 2, 2, present_small, all_is_here, ALL, collapse_1g,
      collapse_2m)
SCENE(two_splits_make_one_table, 2, 2, present, all_is_here, ALL, split_0, split_0)
SCENE(lookups_see_all_pages_during_a_collapse, 2, 3, present_small, all_is_one_leaf, ALL,
      collapse_1g, look_at_all)
SCENE(lookups_see_all_pages_during_a_split, 2, 3, present, all_is_here, ALL, split_0, look_at_all)
SCENE(a_write_during_a_split_is_not_lost, 2, 3, present, all_is_here, ALL, split_0, write_1)
SCENE(a_write_during_a_collapse_is_not_lost, 2, 3, present_small, all_is_one_leaf, ALL, collapse_1g,
      write_1)
SCENE(a_late_write_during_a_collapse_is_not_lost, 2, 3, present_small, all_is_one_leaf, ALL,
      collapse_1g, write_1_late)
SCENE(a_late_write_during_collapse_and_split_is_not_lost, 3, 2, present_small, all_is_here, ALL,
      collapse_2m, write_1_late, split_0)
SCENE(poison_stays_whatever_collapses, 2, 2, present_small, page_1_is_lost_alone, ALL & ~2u,
      collapse_1g, poison_1)
SCENE(poison_stays_whatever_splits, 2, 2, present, page_1_is_lost_alone, ALL & ~2u, split_0,
      poison_1)
SCENE(poison_and_an_arrival_agree, 2, 3, absent, page_1_is_lost_or_was_busy, 0, arrive_2m, poison_1)
SCENE(poison_and_an_arrival_of_its_page_agree, 2, 2, absent, page_1_is_lost_or_was_busy, 0,
      arrive_1, poison_1)
SCENE(what_is_unmapped_stays_so_whatever_collapses, 2, 2, present_small,
      pages_1_and_2_are_gone_alone, ALL & ~6u, collapse_1g, unmap_1_2)
SCENE(what_is_unmapped_stays_so_whatever_splits, 2, 2, present, pages_1_and_2_are_gone_alone,
      ALL & ~6u, split_0, unmap_1_2)
SCENE(what_is_unmapped_does_not_arrive, 2, 2, absent, pages_1_and_2_are_gone_the_others_absent, 0,
      arrive_1, unmap_1_2)
SCENE(unmapping_waits_for_who_fills, 2, 3, absent, all_is_gone, 0, claim_and_give_up, unmap_all)
SCENE(unmapping_all_takes_arrivals_along, 2, 2, half, all_is_gone, 0, arrive_2, unmap_all)
SCENE(unmapping_all_takes_collapses_along, 2, 2, present_small, all_is_gone, 0, collapse_1g,
      unmap_all)
SCENE(a_map_and_an_unmapping_of_its_table_agree, 2, 2, one_page, page_0_is_mapped_or_was, 0,
      map_absent_0, unmap_all)
SCENE(no_table_is_complete_of_which_pages_go_away, 3, 2, absent, nothing, 0, arrive_own, arrive_own,
      unmap_all)
SCENE(two_maps_share_their_tables, 2, 3, nothing, both_are_mapped, 0, map_0, map_1)
SCENE(a_full_gather_flushes_while_others_free, 3, 1, present_small_gather_full, all_is_here, ALL,
      collapse_2m, collapse_1g, split_0)

/* interleave_ept [PATTERN]: only the scenes whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_page_is_filled_once),
		cmocka_unit_test(a_claim_given_up_can_be_had_by_another),
		cmocka_unit_test(two_pages_share_one_table),
		cmocka_unit_test(a_page_and_its_2m_do_not_both_arrive),
		cmocka_unit_test(who_completes_a_table_collapses_it),
		cmocka_unit_test(a_request_is_made_once),
		cmocka_unit_test(a_request_never_hides_an_arrival),
		cmocka_unit_test(collapse_and_split_keep_all_pages),
		cmocka_unit_test(collapses_at_two_levels_become_one_leaf),
		cmocka_unit_test(two_splits_make_one_table),
		cmocka_unit_test(lookups_see_all_pages_during_a_collapse),
		cmocka_unit_test(lookups_see_all_pages_during_a_split),
		cmocka_unit_test(a_write_during_a_split_is_not_lost),
		cmocka_unit_test(a_write_during_a_collapse_is_not_lost),
		cmocka_unit_test(a_late_write_during_a_collapse_is_not_lost),
		cmocka_unit_test(a_late_write_during_collapse_and_split_is_not_lost),
		cmocka_unit_test(poison_stays_whatever_collapses),
		cmocka_unit_test(poison_stays_whatever_splits),
		cmocka_unit_test(poison_and_an_arrival_agree),
		cmocka_unit_test(poison_and_an_arrival_of_its_page_agree),
		cmocka_unit_test(what_is_unmapped_stays_so_whatever_collapses),
		cmocka_unit_test(what_is_unmapped_stays_so_whatever_splits),
		cmocka_unit_test(what_is_unmapped_does_not_arrive),
		cmocka_unit_test(unmapping_waits_for_who_fills),
		cmocka_unit_test(unmapping_all_takes_arrivals_along),
		cmocka_unit_test(unmapping_all_takes_collapses_along),
		cmocka_unit_test(a_map_and_an_unmapping_of_its_table_agree),
		cmocka_unit_test(no_table_is_complete_of_which_pages_go_away),
		cmocka_unit_test(two_maps_share_their_tables),
		cmocka_unit_test(a_full_gather_flushes_while_others_free),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("few CPUs in all orders", tests, NULL, NULL);
}
