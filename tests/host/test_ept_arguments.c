/* SPDX-License-Identifier: MIT */
/*
 * What the second stage refuses: addresses outside of the space, frames that no entry can hold,
 * memory types and rights that the hardware does not have. Each test's name is the claim.
 */
#include <stdlib.h>

#include "ept/access.h"
#include "ept/monitor.h"
#include "ept/range.h"
#include "ept/relocate.h"
#include "ept/rmap.h"
#include "ept/track.h"
#include "tests/host/ept_case.h"

#define SPACE                                                                                      \
	(UINT64_C(1) << 36) /* frames: what lies behind it would alias what it begins with         \
			     */

static struct ept_cpu *me(void)
{
	return ept_cpu(&w.ept, 0);
}

/* --- frames and memory types --- */

static int map_one(uint64_t backing, uint64_t frames, enum ept_memtype memtype)
{
	return ept_map(me(), 0, frames, hpa(backing), EPT_RWX, memtype, EPT_PRESENT);
}

static void unmap_all(uint64_t frames)
{
	assert_int_equal(ept_unmap(me(), 0, frames, &w.gather), 0);
	ept_sync(&w.gather);
}

static void frames_that_no_entry_can_hold_are_refused(void **state)
{
	const uint64_t end = UINT64_C(1) << 52;

	(void)state;
	assert_int_equal(map_one(end - PAGE_SIZE, 2, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one(end, 1, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one(-PAGE_SIZE, 1, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one(-PAGE_SIZE, 2, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one(PAGE_SIZE, UINT64_MAX, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one(end - PAGE_SIZE, 1, EPT_WB), 0);
	assert_int_equal(ept_lookup(&w.ept, 0).frame.v, end - PAGE_SIZE);
	unmap_all(1);
	ept_set_width(&w.ept, 40);
	assert_int_equal(map_one((UINT64_C(1) << 40) - PAGE_SIZE, 2, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one(UINT64_C(1) << 40, 1, EPT_WB), EPT_INVALID);
	assert_int_equal(map_one((UINT64_C(1) << 40) - PAGE_SIZE, 1, EPT_WB), 0);
	unmap_all(1);
	verify();
}

static void a_frame_that_no_entry_can_hold_is_not_filled_into(void **state)
{
	struct ept_claim claim;

	(void)state;
	world_add_clone(&w);
	map(0, 1, EPT_ABSENT);
	step((struct step){ .code = STEP_CLONE, .frames = 1 });
	assert_int_equal(ept_fill_into(ept_cpu(&w.clone.ept, 0), 0, hpa(UINT64_C(1) << 52), &claim),
			 EPT_INVALID);
	assert_int_equal(ept_fill_into(ept_cpu(&w.clone.ept, 0), 0, hpa(1), &claim), EPT_INVALID);
	ept_destroy(&w.clone.ept, 0);
	w.has_clone = false;
	verify();
}

/* SDM vol. 3C, "Memory Type Used for Translated Guest-Physical Addresses": 2, 3 and 7 are reserved.
 * The PAT that guests run with has the same ones (its UC- is no type of memory that is asked for).
 */
static void only_memory_types_that_hardware_has_are_mapped(void **state)
{
	const bool known[9] = { true, true, false, false, true, true, true, false, false };

	(void)state;
	for (unsigned int type = 0; type < ARRAY_LEN(known); type++) {
		int r = map_one(WORLD_BACKING, F_2M, (enum ept_memtype)type);

		assert_int_equal(r, known[type] ? 0 : EPT_INVALID);
		if (r)
			continue;
		assert_int_equal(ept_lookup(&w.ept, 0).memtype, type);
		unmap_all(F_2M);
	}
	assert_int_equal(map_one(WORLD_BACKING, 1, (enum ept_memtype)UINT32_MAX), EPT_INVALID);
	verify();
}

/* --- rights --- */

/* Only EPT can say so at all. */
static void what_can_only_be_executed_is_not_cloned_where_large_leaves_cannot_be(void **state)
{
	const enum ept_share share[] = { EPT_SHARED, EPT_PRIVATE };
	struct ept_cpu *clone = ept_cpu(&w.clone.ept, 0);
	gfn_t where;

	(void)state;
	world_add_clone(&w);
	ept_set_nx(&w.clone.ept);
	assert_int_equal(ept_map(me(), 0, F_2M, hpa(WORLD_BACKING), EPT_RWX, EPT_WB, EPT_PRESENT),
			 0);
	assert_int_equal(
		ept_map(me(), F_2M, F_2M, hpa(WORLD_BACKING + 2 * MIB), EPT_X, EPT_WB, EPT_PRESENT),
		format == &ept_format_intel ? 0 : EPT_INVALID);
	for (unsigned int i = 0; i < ARRAY_LEN(share) && format == &ept_format_intel; i++) {
		assert_int_equal(ept_clone(me(), clone, 0, 2 * F_2M, share[i], &w.gather),
				 EPT_INVALID);
		ept_sync(&w.gather);
		assert_int_equal(ept_lookup(&w.clone.ept, 0).kind, EPT_NONE);
		assert_null(ept_check(&w.clone.ept, &where));
		assert_null(ept_check(&w.ept, &where));
		/* The pieces could not collapse there. */
		assert_int_equal(ept_split(me(), F_2M, PG_LEVEL_4K, EPT_WHY_ASKED, &w.gather), 0);
	}
	assert_int_equal(ept_protect(clone, 0, F_2M, EPT_X, &w.clone.gather), EPT_INVALID);
	ept_destroy(&w.clone.ept, 0);
	w.has_clone = false;
	unmap_all(2 * F_2M);
}

/* --- addresses --- */

/* Page 0, and all around it, would notice. */
static void begin_outside(void)
{
	map(0, F_2M, EPT_PRESENT);
	map(F_2M, F_2M, EPT_ABSENT);
	touch(0, true, 0);
}

static void nothing_is_found_outside_of_the_space(void **state)
{
	struct ept_census census, none = { 0 };
	uint64_t path[PG_LEVEL_MAX], bitmap[16] = { 0 };
	hpa_t frame;

	(void)state;
	begin_outside();
	assert_int_equal(ept_lookup(&w.ept, SPACE).kind, EPT_NONE);
	assert_int_equal(ept_lookup(&w.ept, UINT64_MAX).kind, EPT_NONE);
	ept_path(&w.ept, SPACE, path);
	assert_int_equal(path[w.ept.fmt->top], 0);
	ept_census(&w.ept, SPACE, 2 * F_2M, &census);
	assert_memory_equal(&census, &none, sizeof(none));
	ept_census(&w.ept, UINT64_MAX - 1, 5, &census);
	assert_memory_equal(&census, &none, sizeof(none));
	ept_census(&w.ept, SPACE - F_2M, 2 * F_2M, &census);
	assert_int_equal(census.kind[EPT_PRESENT][PG_LEVEL_2M], 0);
	assert_int_equal(ept_census_some(&w.ept, SPACE, SPACE + 7, 100, &none), SPACE + 7);
	assert_int_equal(none.kind[EPT_PRESENT][PG_LEVEL_2M], 0);
	assert_int_equal(ept_resolve(me(), SPACE, EPT_R, &w.gather), EPT_UNMAPPED);
	assert_int_equal(ept_reach(me(), SPACE, EPT_R, &frame, &w.gather), EPT_UNMAPPED);
	assert_int_equal(ept_track_collect(me(), SPACE, 512, bitmap, &w.gather), 0);
	assert_int_equal(ept_track_collect(me(), UINT64_MAX, 512, bitmap, &w.gather), 0);
	assert_false(w.gather.owed);
	verify();
}

static void nothing_is_changed_outside_of_the_space(void **state)
{
	const gfn_t outside[] = { SPACE, SPACE - 1, SPACE + F_2M, UINT64_MAX, -UINT64_C(2) };
	struct ept_collapse_result collapsed;
	struct ept_split_result split;
	struct ept_gather *g = &w.gather;
	struct ept_frozen frozen;
	struct ept_claim claim;

	(void)state;
	begin_outside();
	for (unsigned int i = 0; i < ARRAY_LEN(outside); i++) {
		gfn_t gfn = outside[i], next = gfn;

		assert_int_equal(ept_unmap(me(), gfn, 2, g), EPT_INVALID);
		assert_int_equal(ept_protect(me(), gfn, 2, EPT_R, g), EPT_INVALID);
		assert_int_equal(ept_discard(me(), gfn, 2, g), EPT_INVALID);
		assert_int_equal(ept_poison_range(me(), gfn, 2, g), EPT_INVALID);
		assert_int_equal(ept_move(me(), gfn, F_1G, 2, g), EPT_INVALID);
		assert_int_equal(ept_move(me(), 0, gfn, 2, g), EPT_INVALID);
		ept_split_range(me(), gfn, 2, PG_LEVEL_4K, EPT_WHY_ASKED, g, &split);
		assert_int_equal(split.split, 0);
		ept_collapse_range(me(), gfn, 2, g, &collapsed);
		assert_int_equal(collapsed.collapsed, 0);
		assert_int_equal(ept_recover_nx(me(), &next, gfn + 2, 1, g), 0);
		assert_true(gfn + 2 < gfn ||
			    ept_track_some(me(), &next, gfn + 2, 1, g) == EPT_INVALID);
		if (gfn < SPACE)
			continue;
		assert_int_equal(ept_request(me(), gfn), EPT_UNMAPPED);
		assert_int_not_equal(ept_fill(me(), gfn, PG_LEVEL_4K, &claim), 0);
		assert_int_not_equal(ept_fill_zero(me(), gfn, PG_LEVEL_4K, &claim), 0);
		assert_int_not_equal(ept_fill_into(me(), gfn, hpa(0), &claim), 0);
		assert_int_equal(ept_split(me(), gfn, PG_LEVEL_4K, EPT_WHY_ASKED, g), EPT_INVALID);
		assert_int_equal(ept_collapse(me(), gfn, PG_LEVEL_2M, g), EPT_INVALID);
		assert_int_equal(ept_poison(me(), gfn, g), EPT_INVALID);
		assert_int_equal(ept_freeze(me(), gfn, PG_LEVEL_4K, EPT_WHY_COW, &frozen, g),
				 EPT_INVALID);
	}
	assert_false(g->owed);
	verify();
}

static void nothing_is_watched_outside_of_the_space(void **state)
{
	static struct ept_monitor m;

	(void)state;
	begin_outside();
	assert_int_equal(ept_monitor_begin(&m, &w.ept, SPACE, F_2M, 1, 8, 1), EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&m, &w.ept, SPACE - 1, 2, 1, 8, 1), EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&m, &w.ept, UINT64_MAX, 2, 1, 8, 1), EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&m, &w.ept, SPACE - F_2M, F_2M, 1, 8, 1), 0);
	ept_monitor_sample(&m, me(), &w.gather);
	assert_false(w.gather.owed);
	assert_true(ept_lookup(&w.ept, 0).accessed);
}

static void visit(void *ctx, const struct ept_mapping *m)
{
	(void)ctx;
	(void)m;
}

static void frames_outside_of_the_pool_are_mapped_by_nobody(void **state)
{
	const uint64_t last = WORLD_TABLES + TABLES * PAGE_SIZE;
	struct ept_extent e = { .ept = &w.ept, .frames = 2 };
	struct ept_rmap rmap;

	(void)state;
	ept_rmap_init(&rmap, &w.pool);
	e.backing = hpa(last - PAGE_SIZE);
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	e.backing = hpa(0);
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	e.backing = hpa(-PAGE_SIZE);
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	e.backing = hpa(WORLD_TABLES);
	e.order = 60;
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	assert_null(rmap.first);
	ept_rmap_own(&rmap, hpa(last), 5);
	assert_int_equal(ept_rmap_find(&rmap, hpa(last), visit, NULL), 0);
	assert_int_equal(ept_rmap_find(&rmap, hpa(-PAGE_SIZE), visit, NULL), 0);
	assert_int_equal(ept_rmap_refs(&rmap, hpa(last)), 0);
	assert_int_equal(ept_rmap_count(&rmap, hpa(last), 0), 0);
	assert_int_equal(ept_rmap_count(&rmap, hpa(WORLD_TABLES), 63), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(frames_that_no_entry_can_hold_are_refused),
		CASE(a_frame_that_no_entry_can_hold_is_not_filled_into),
		CASE(only_memory_types_that_hardware_has_are_mapped),
		CASE(what_can_only_be_executed_is_not_cloned_where_large_leaves_cannot_be),
		CASE(nothing_is_found_outside_of_the_space),
		CASE(nothing_is_changed_outside_of_the_space),
		CASE(nothing_is_watched_outside_of_the_space),
		CASE(frames_outside_of_the_pool_are_mapped_by_nobody),
	};

	return cmocka_run_group_tests_name("the second stage: refusals", tests, NULL, NULL);
}
