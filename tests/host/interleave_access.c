/* SPDX-License-Identifier: MIT */
/*
 * Few CPUs in all orders: writes that are noted or need a copy, and what is executed. Each test is
 * a scene; its name is what must hold in every order.
 */
#include "ept/access.h"
#include "ept/range.h"
#include "ept/track.h"
#include "tests/host/interleave_changes.h"

static void begin_tracking(struct crowd_cpu *cpu, enum ept_track_by by)
{
	gfn_t next = 0;

	if (ept_track_begin(&cpu->crowd->ept, by))
		crowd_fail(cpu, "tracking did not begin");
	while (next < 4)
		if (ept_track_some(cpu->me, &next, 4, 100, &cpu->gather))
			crowd_fail(cpu, "tracking does not get on");
	ept_sync(&cpu->gather);
}

static void by_faults(struct crowd_cpu *cpu)
{
	small_more(cpu);
	begin_tracking(cpu, EPT_TRACK_WRITES);
}

static void by_dirty_bits(struct crowd_cpu *cpu)
{
	small_more(cpu);
	begin_tracking(cpu, EPT_TRACK_DIRTY);
}

/* Page 1 is dirty, and nobody has collected that. */
static void dirty_1(struct crowd_cpu *cpu)
{
	by_dirty_bits(cpu);
	touch(cpu, 1, true, 0);
	tlb_flush(&cpu->tlb);
}

static void absent_small_tracked(struct crowd_cpu *cpu)
{
	absent_more(cpu);
	arrive(cpu, 0, PG_LEVEL_4K);
	begin_tracking(cpu, EPT_TRACK_DIRTY);
}

static void not_executable(struct crowd_cpu *cpu)
{
	clear_more();
	ept_set_nx(&cpu->crowd->ept);
	present(cpu);
}

static void executed(struct crowd_cpu *cpu)
{
	not_executable(cpu);
	if (ept_resolve(cpu->me, 1, EPT_X, &cpu->gather))
		crowd_fail(cpu, "not resolved");
	ept_sync(&cpu->gather);
}

static void with_clone(struct crowd_cpu *cpu)
{
	small_more(cpu);
	if (ept_init(&more.clone, cpu->crowd->ept.fmt, cpu->crowd->ept.ops, cpu->crowd,
		     &cpu->crowd->pool, PG_LEVEL_1G))
		crowd_fail(cpu, "no clone");
	cpu->crowd->also = &more.clone;
}

static void track_4(struct crowd_cpu *cpu)
{
	gfn_t next = 0;
	int r = ept_track_begin(&cpu->crowd->ept, EPT_TRACK_WRITES);

	while (!r && next < 4)
		r = ept_track_some(cpu->me, &next, 4, 100, &cpu->gather);
	if (r)
		crowd_fail(cpu, "tracking returned %d", r);
}

static void unmap_0(struct crowd_cpu *cpu)
{
	if (ept_unmap(cpu->me, 0, 1, &cpu->gather))
		crowd_fail(cpu, "unmap failed");
}

static void poison_0(struct crowd_cpu *cpu)
{
	if (ept_poison(cpu->me, 0, &cpu->gather))
		crowd_fail(cpu, "poison failed");
}

/* As a vCPU does: it tries, faults, has it resolved, and tries again. */
static void write_page(struct crowd_cpu *cpu, gfn_t gfn)
{
	struct tlb_access a;

	for (unsigned int i = 0; i < 100; i++) {
		int r;

		if (tlb_use(&cpu->tlb, &cpu->crowd->ept, gfn, true, 0, &a) == TLB_HIT) {
			seen.wrote[gfn] = true;
			return;
		}
		r = ept_resolve(cpu->me, gfn, EPT_W, &cpu->gather);
		if (r && r != EPT_BUSY)
			crowd_fail(cpu, "the write was answered by %d", r);
		crowd_pause(cpu);
		if (r == EPT_BUSY)
			cpu->crowd->relax();
	}
}

static void write_1(struct crowd_cpu *cpu)
{
	write_page(cpu, 1);
}

static void collect(struct crowd_cpu *cpu)
{
	uint64_t bitmap = 0;

	(void)ept_track_collect(cpu->me, 0, 4, &bitmap, &cpu->gather);
	ept_sync(&cpu->gather);
	more.reported |= bitmap;
}

static void reach_1(struct crowd_cpu *cpu)
{
	hpa_t at;
	int r = ept_reach(cpu->me, 1, EPT_W, &at, &cpu->gather);

	if (r == 0)
		seen.wrote[1] = true;
	else if (r != EPT_BUSY)
		crowd_fail(cpu, "reach returned %d", r);
	crowd_pause(cpu);
}

static void clone_all(struct crowd_cpu *cpu)
{
	unsigned int tries = 0;
	int r;

	do {
		r = ept_clone(cpu->me, ept_cpu(&more.clone, cpu->id), 0, PAGES, EPT_PRIVATE,
			      &cpu->gather);
	} while (again(cpu, r, &tries));
	if (r)
		crowd_fail(cpu, "clone returned %d", r);
}

/* A write that copies where it must. */
static void write_1_copying(struct crowd_cpu *cpu)
{
	struct tlb_access a;

	for (unsigned int i = 0; i < 100; i++) {
		int r;

		if (tlb_use(&cpu->tlb, &cpu->crowd->ept, 1, true, 0, &a) == TLB_HIT) {
			seen.wrote[1] = true;
			return;
		}
		r = ept_resolve(cpu->me, 1, EPT_W, &cpu->gather);
		if (r == EPT_FOREIGN)
			relocate(cpu, 1, PG_LEVEL_4K, true);
		else if (r && r != EPT_BUSY)
			crowd_fail(cpu, "the write was answered by %d", r);
		crowd_pause(cpu);
		if (r == EPT_BUSY)
			cpu->crowd->relax();
	}
}

static void execute(struct crowd_cpu *cpu, gfn_t gfn)
{
	struct tlb_access a;

	for (unsigned int i = 0; i < 100; i++) {
		int r;

		if (tlb_access(&cpu->tlb, &cpu->crowd->ept, gfn, EPT_X, 0, &a) == TLB_HIT) {
			if (a.level > PG_LEVEL_4K)
				crowd_fail(cpu, "page %lu was executed in a large leaf", (long)gfn);
			return;
		}
		r = ept_resolve(cpu->me, gfn, EPT_X, &cpu->gather);
		if (r && r != EPT_BUSY)
			crowd_fail(cpu, "the fetch was answered by %d", r);
		crowd_pause(cpu);
		if (r == EPT_BUSY)
			cpu->crowd->relax();
	}
}

static void execute_1(struct crowd_cpu *cpu)
{
	execute(cpu, 1);
}

static void recover(struct crowd_cpu *cpu)
{
	gfn_t next = 0;

	while (next < PAGES)
		(void)ept_recover_nx(cpu->me, &next, PAGES, 2, &cpu->gather);
}

static void no_check(struct crowd_cpu *cpu)
{
	(void)cpu;
}

static void all_of_4_is_marked(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < 4; gfn++) {
		struct ept_state s = ept_lookup(&cpu->crowd->ept, gfn);

		if (!s.tracked && s.kind != EPT_NONE && s.kind != EPT_POISON)
			crowd_fail(cpu, "page %lu is not marked", (long)gfn);
		if (s.kind == EPT_PRESENT && !s.dirty && !(s.withheld & EPT_W))
			crowd_fail(cpu, "page %lu can be written unseen", (long)gfn);
	}
}

/* Either a collection said so, or the next one will. */
static void written_is_reported_or_dirty(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < 4; gfn++) {
		struct ept_state s = ept_lookup(&cpu->crowd->ept, gfn);

		if (seen.wrote[gfn] && !s.dirty && !(more.reported >> gfn & 1))
			crowd_fail(cpu, "a write to page %lu was missed", (long)gfn);
		if (!s.tracked || s.level != PG_LEVEL_4K)
			crowd_fail(cpu, "page %lu lost its mark", (long)gfn);
		if (!seen.wrote[gfn] && more.reported >> gfn & 1)
			crowd_fail(cpu, "page %lu was reported for nothing", (long)gfn);
	}
	if (!seen.wrote[1])
		crowd_fail(cpu, "the write never came through");
}

/* The clone has a frame to itself, or nobody may write to it. */
static void no_write_leaks(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < 4; gfn++) {
		struct ept_state a = ept_lookup(&cpu->crowd->ept, gfn);
		struct ept_state b = ept_lookup(&more.clone, gfn);
		uint64_t frame = CROWD_BACKING + (gfn << PAGE_SHIFT);

		if (b.kind != EPT_PRESENT)
			crowd_fail(cpu, "the clone has no page %lu", (long)gfn);
		if (b.kind == EPT_PRESENT && !(b.withheld & EPT_W))
			crowd_fail(cpu, "the clone may write to page %lu", (long)gfn);
		if (b.kind == EPT_PRESENT && a.frame.v == frame && !(a.withheld & EPT_W))
			crowd_fail(cpu, "the original may write to page %lu", (long)gfn);
	}
	ept_destroy(&more.clone, 0);
}

static void no_large_leaf_is_executable(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < PAGES; gfn++) {
		struct ept_state leaf;

		if (tlb_peek(&cpu->crowd->ept, gfn, &leaf) != TLB_HIT)
			crowd_fail(cpu, "page %lu is gone", (long)gfn);
		else if (leaf.level > PG_LEVEL_4K && leaf.perms & EPT_X)
			crowd_fail(cpu, "page %lu can be executed in a large leaf", (long)gfn);
	}
}

static void page_1_is_gone(struct crowd_cpu *cpu)
{
	expect(cpu, 0, 1, EPT_PRESENT);
	expect(cpu, 1, 2, EPT_NONE);
	expect(cpu, 2, PAGES, EPT_PRESENT);
}

static void discard_1(struct crowd_cpu *cpu)
{
	if (ept_discard(cpu->me, 1, 1, &cpu->gather))
		crowd_fail(cpu, "discard failed");
}

static void page_1_is_discarded(struct crowd_cpu *cpu)
{
	expect(cpu, 1, 2, EPT_ABSENT);
	if (!ept_lookup(&cpu->crowd->ept, 1).zero)
		crowd_fail(cpu, "page 1 is to be asked for again");
}

/* --- the scenes --- */

SCENE(a_collection_brings_nothing_back_that_is_unmapped, 2, 3, dirty_1, page_1_is_gone, 0, collect,
      unmap_1)
SCENE(a_collection_brings_nothing_back_that_is_discarded, 2, 3, dirty_1, page_1_is_discarded, 0,
      collect, discard_1)

SCENE(tracking_goes_on_whatever_is_unmapped_first, 2, 2, present_more, all_of_4_is_marked, 0,
      track_4, unmap_0)
SCENE(tracking_goes_on_whatever_is_lost, 2, 2, present_more, all_of_4_is_marked, 0, track_4,
      poison_0)
SCENE(what_arrives_under_tracking_is_marked, 2, 2, absent_more, all_of_4_is_marked, 0, track_4,
      arrive_1)
SCENE(what_arrives_as_2m_under_tracking_is_marked, 2, 2, absent_more, all_of_4_is_marked, 0,
      track_4, arrive_2m)
SCENE(tracking_goes_on_whatever_is_unmapped, 2, 2, present_more, all_of_4_is_marked, 0, track_4,
      unmap_1)
SCENE(tracking_goes_on_whatever_collapses, 2, 2, small_more, all_of_4_is_marked, 0, track_4,
      collapse_1g)
SCENE(a_write_fault_is_not_missed_by_a_collection, 2, 3, by_faults, written_is_reported_or_dirty, 0,
      collect, write_1)
SCENE(a_dirty_bit_is_not_missed_by_a_collection, 2, 3, by_dirty_bits, written_is_reported_or_dirty,
      0, collect, write_1)
SCENE(what_the_hypervisor_writes_is_not_missed, 2, 3, by_faults, written_is_reported_or_dirty, 0,
      collect, reach_1)
SCENE(two_cpus_resolve_one_write, 3, 2, by_faults, written_is_reported_or_dirty, 0, write_1,
      write_1, collect)
SCENE(what_is_tracked_does_not_collapse, 3, 1, by_dirty_bits, written_is_reported_or_dirty, 0,
      collapse_1g, write_1, collect)
SCENE(arrivals_and_collections_agree, 2, 3, absent_small_tracked, no_check, 0, collect, arrive_1)
SCENE(a_write_to_what_is_frozen_is_not_lost, 2, 3, by_dirty_bits, written_is_reported_or_dirty, 0,
      freeze_1, write_1)
SCENE(a_clone_sees_no_write_of_the_original, 2, 2, with_clone, no_write_leaks, 0, clone_all,
      write_1_copying)
SCENE(a_clone_and_a_frozen_page_agree, 2, 2, with_clone, no_write_leaks, 0, clone_all, freeze_1)
SCENE(a_fetch_splits_what_recovers, 2, 2, executed, no_large_leaf_is_executable, 0, recover,
      execute_1)
SCENE(two_fetches_split_one_leaf, 2, 2, not_executable, no_large_leaf_is_executable, 0xffff,
      execute_1, execute_1)
SCENE(a_recovery_and_a_frozen_page_agree, 2, 2, executed, each_page_is_where_it_went, 0, recover,
      freeze_1)

/* interleave_access [PATTERN]: only the scenes whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_arrives_under_tracking_is_marked),
		cmocka_unit_test(what_arrives_as_2m_under_tracking_is_marked),
		cmocka_unit_test(a_collection_brings_nothing_back_that_is_unmapped),
		cmocka_unit_test(a_collection_brings_nothing_back_that_is_discarded),
		cmocka_unit_test(tracking_goes_on_whatever_is_unmapped),
		cmocka_unit_test(tracking_goes_on_whatever_is_unmapped_first),
		cmocka_unit_test(tracking_goes_on_whatever_is_lost),
		cmocka_unit_test(tracking_goes_on_whatever_collapses),
		cmocka_unit_test(a_write_fault_is_not_missed_by_a_collection),
		cmocka_unit_test(a_dirty_bit_is_not_missed_by_a_collection),
		cmocka_unit_test(what_the_hypervisor_writes_is_not_missed),
		cmocka_unit_test(two_cpus_resolve_one_write),
		cmocka_unit_test(what_is_tracked_does_not_collapse),
		cmocka_unit_test(arrivals_and_collections_agree),
		cmocka_unit_test(a_write_to_what_is_frozen_is_not_lost),
		cmocka_unit_test(a_clone_sees_no_write_of_the_original),
		cmocka_unit_test(a_clone_and_a_frozen_page_agree),
		cmocka_unit_test(a_fetch_splits_what_recovers),
		cmocka_unit_test(two_fetches_split_one_leaf),
		cmocka_unit_test(a_recovery_and_a_frozen_page_agree),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("few CPUs in all orders: accesses", tests, NULL, NULL);
}
