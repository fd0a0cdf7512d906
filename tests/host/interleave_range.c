/* SPDX-License-Identifier: MIT */
/*
 * Few CPUs in all orders: ranges that change, and pages that are frozen or move. Each test is a
 * scene; its name is what must hold in every order.
 */
#include "ept/range.h"
#include "tests/host/interleave_changes.h"

/* Only the lower half is mapped. */
static void half_absent(struct crowd_cpu *cpu)
{
	clear_more();
	nothing(cpu);
	map(cpu, 0, PAGES / 2, EPT_ABSENT);
}

static void half_present(struct crowd_cpu *cpu)
{
	clear_more();
	nothing(cpu);
	map(cpu, 0, PAGES / 2, EPT_PRESENT);
	split(cpu, 0);
	ept_sync(&cpu->gather);
}

static void protect_0_1(struct crowd_cpu *cpu)
{
	unsigned int tries = 0;
	int r;

	do {
		r = ept_protect(cpu->me, 0, 2, EPT_R, &cpu->gather);
	} while (again(cpu, r, &tries));
	if (r)
		crowd_fail(cpu, "protect returned %d", r);
}

static void discard_1(struct crowd_cpu *cpu)
{
	int r = ept_discard(cpu->me, 1, 1, &cpu->gather);

	if (r)
		crowd_fail(cpu, "discard returned %d", r);
}

/* Whatever it says: rights and marks may differ, frames lie elsewhere. */
static void collapse_2m(struct crowd_cpu *cpu)
{
	(void)!ept_collapse(cpu->me, 0, PG_LEVEL_2M, &cpu->gather);
}

static void split_0(struct crowd_cpu *cpu)
{
	split(cpu, 0);
}

static void relocate_1(struct crowd_cpu *cpu)
{
	relocate(cpu, 1, PG_LEVEL_4K, true);
}

static void freeze_2m(struct crowd_cpu *cpu)
{
	relocate(cpu, 0, PG_LEVEL_2M, false);
}

static void move_0_3(struct crowd_cpu *cpu)
{
	unsigned int tries = 0;
	int r;

	do {
		r = ept_move(cpu->me, 0, 8, 4, &cpu->gather);
	} while (again(cpu, r, &tries));
	if (r)
		crowd_fail(cpu, "move returned %d", r);
}

static void pages_0_and_1_are_read_only(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < 4; gfn++) {
		unsigned int perms = ept_lookup(&cpu->crowd->ept, gfn).perms;

		if (perms != (gfn < 2 ? EPT_R : EPT_RWX))
			crowd_fail(cpu, "page %lu has rights %u", (long)gfn, perms);
	}
}

static void page_1_is_zero(struct crowd_cpu *cpu)
{
	struct ept_state s = ept_lookup(&cpu->crowd->ept, 1);

	if (s.kind != EPT_ABSENT || !s.zero)
		crowd_fail(cpu, "page 1 was discarded and is %s", entry_kind_name(s.kind));
	expect(cpu, 4, PAGES, EPT_ABSENT);
}

static void page_1_is_gone_alone(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, 2, EPT_NONE);
	expect(cpu, 2, PAGES, EPT_PRESENT);
}

static void all_has_moved(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < 4; gfn++) {
		struct ept_state old = ept_lookup(&cpu->crowd->ept, gfn);
		struct ept_state new = ept_lookup(&cpu->crowd->ept, gfn + 8);

		if (old.kind != EPT_NONE || new.kind == EPT_NONE)
			crowd_fail(cpu, "page %lu is %s at the old place, %s at the new one",
				   (long)gfn, entry_kind_name(old.kind), entry_kind_name(new.kind));
		if (seen.fills[gfn] > 1)
			crowd_fail(cpu, "page %lu was filled twice", (long)gfn);
	}
}

static void half_large(struct crowd_cpu *cpu)
{
	clear_more();
	nothing(cpu);
	map(cpu, 0, PAGES / 2, EPT_PRESENT);
}

static void move_oddly(struct crowd_cpu *cpu)
{
	int r = ept_move(cpu->me, 0, 9, 4, &cpu->gather);

	if (r)
		crowd_fail(cpu, "move returned %d", r);
}

static void unmap_0_3(struct crowd_cpu *cpu)
{
	unsigned int tries = 0;
	int r;

	do {
		r = ept_unmap(cpu->me, 0, 4, &cpu->gather);
	} while (again(cpu, r, &tries));
	if (r)
		crowd_fail(cpu, "unmap returned %d", r);
}

/* What was not moved in time is gone. */
static void nothing_stays_behind(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 4, EPT_NONE);
	expect(cpu, 4, 8, EPT_PRESENT);
}

/* Page 11 is alone in its table. */
static void page_11_alone(struct crowd_cpu *cpu)
{
	half_present(cpu);
	map(cpu, 11, 1, EPT_PRESENT);
}

static void move_0_to_8(struct crowd_cpu *cpu)
{
	int r = ept_move(cpu->me, 0, 8, 1, &cpu->gather);

	if (r)
		crowd_fail(cpu, "move returned %d", r);
}

static void map_8(struct crowd_cpu *cpu)
{
	map(cpu, 8, 1, EPT_PRESENT);
}

static void unmap_11(struct crowd_cpu *cpu)
{
	if (ept_unmap(cpu->me, 11, 1, &cpu->gather))
		crowd_fail(cpu, "unmap failed");
}

static void unmap_10(struct crowd_cpu *cpu)
{
	if (ept_unmap(cpu->me, 10, 1, &cpu->gather))
		crowd_fail(cpu, "unmap failed");
}

static void page_8_is_there_and_11_is_not(struct crowd_cpu *cpu)
{
	expect(cpu, 11, 12, EPT_NONE);
	if (ept_lookup(&cpu->crowd->ept, 8).kind != EPT_PRESENT)
		crowd_fail(cpu, "page 8 is lost");
}

static void pages_10_and_11(struct crowd_cpu *cpu)
{
	nothing(cpu);
	map(cpu, 10, 2, EPT_PRESENT);
}

static void only_the_root_is_left(struct crowd_cpu *cpu)
{
	expect_tables(cpu, 1);
}

/* --- the scenes --- */

SCENE(rights_reach_a_page_that_arrives, 2, 2, absent_more, pages_0_and_1_are_read_only, 0,
      protect_0_1, arrive_1)
SCENE(rights_reach_a_2m_that_arrives, 2, 2, absent_more, pages_0_and_1_are_read_only, 0,
      protect_0_1, arrive_2m)
SCENE(rights_stay_whatever_collapses, 2, 2, small_more, pages_0_and_1_are_read_only, 0, protect_0_1,
      collapse_1g)
SCENE(rights_stay_whatever_splits, 2, 2, present_more, pages_0_and_1_are_read_only, 0, protect_0_1,
      split_0)
SCENE(rights_and_a_frozen_page_agree, 2, 2, small_more, pages_0_and_1_are_read_only, 0, protect_0_1,
      freeze_1)
SCENE(what_is_discarded_stays_zero_whatever_arrives, 2, 2, absent_more, page_1_is_zero, 0,
      discard_1, arrive_1)
SCENE(a_frozen_page_does_not_collapse, 2, 2, small_more, each_page_is_where_it_went, 0, collapse_1g,
      relocate_1)
SCENE(a_frozen_page_is_not_unmapped, 2, 3, small_more, page_1_is_gone_alone, 0, unmap_1, freeze_1)
SCENE(a_frozen_page_and_a_split_agree, 2, 2, present_more, each_page_is_where_it_went, 0, split_0,
      relocate_1)
SCENE(a_frozen_2m_and_a_split_agree, 2, 2, present_more, each_page_is_where_it_went, 0, split_0,
      freeze_2m)
SCENE(one_of_two_freezes_a_page, 2, 3, small_more, each_page_is_where_it_went, 0, freeze_1,
      freeze_1)
SCENE(a_page_or_its_2m_is_frozen, 2, 2, present_more, each_page_is_where_it_went, 0, freeze_1,
      freeze_2m)
SCENE(what_moves_arrives_in_one_place, 2, 2, half_absent, all_has_moved, 0, move_0_3, arrive_1)
SCENE(what_moves_collapses_in_one_place, 2, 2, half_present, all_has_moved, 0, move_0_3,
      collapse_2m)
SCENE(a_move_and_a_frozen_page_agree, 2, 2, half_present, all_has_moved, 0, move_0_3, freeze_1)

SCENE(what_moves_or_is_unmapped_is_gone, 2, 2, half_large, nothing_stays_behind, 0, move_oddly,
      unmap_0_3)
SCENE(a_page_moves_beside_one_that_is_unmapped, 2, 2, page_11_alone, page_8_is_there_and_11_is_not,
      0, move_0_to_8, unmap_11)
SCENE(a_page_is_mapped_beside_one_that_is_unmapped, 2, 3, page_11_alone,
      page_8_is_there_and_11_is_not, 0, map_8, unmap_11)
SCENE(two_that_empty_a_table_leave_none, 2, 2, pages_10_and_11, only_the_root_is_left, 0, unmap_10,
      unmap_11)

/* interleave_range [PATTERN]: only the scenes whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_reach_a_page_that_arrives),
		cmocka_unit_test(rights_reach_a_2m_that_arrives),
		cmocka_unit_test(rights_stay_whatever_collapses),
		cmocka_unit_test(rights_stay_whatever_splits),
		cmocka_unit_test(rights_and_a_frozen_page_agree),
		cmocka_unit_test(what_is_discarded_stays_zero_whatever_arrives),
		cmocka_unit_test(a_frozen_page_does_not_collapse),
		cmocka_unit_test(a_frozen_page_is_not_unmapped),
		cmocka_unit_test(a_frozen_page_and_a_split_agree),
		cmocka_unit_test(a_frozen_2m_and_a_split_agree),
		cmocka_unit_test(one_of_two_freezes_a_page),
		cmocka_unit_test(a_page_or_its_2m_is_frozen),
		cmocka_unit_test(what_moves_arrives_in_one_place),
		cmocka_unit_test(what_moves_collapses_in_one_place),
		cmocka_unit_test(a_move_and_a_frozen_page_agree),
		cmocka_unit_test(what_moves_or_is_unmapped_is_gone),
		cmocka_unit_test(a_page_moves_beside_one_that_is_unmapped),
		cmocka_unit_test(a_page_is_mapped_beside_one_that_is_unmapped),
		cmocka_unit_test(two_that_empty_a_table_leave_none),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("few CPUs in all orders: ranges", tests, NULL, NULL);
}
