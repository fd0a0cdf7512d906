/* SPDX-License-Identifier: MIT */
/*
 * What must hold on the real geometry of reverse lookup and of access monitoring. Each test's name
 * is the claim.
 */
#include <stdlib.h>
#include <string.h>

#include "ept/monitor.h"
#include "ept/range.h"
#include "ept/rmap.h"
#include "tests/host/ept_case.h"

static struct ept_cpu *me(void)
{
	return ept_cpu(&w.ept, 0);
}

/* --- reverse lookup --- */

#define NFRAMES (4 * F_1G)

static struct frame *frames; /* of guest memory */
static struct frame_pool backing;
static struct ept_rmap rmap;
static struct {
	unsigned int n;
	struct ept_mapping m[8];
} found;
static struct {
	unsigned int n;
	uint64_t block[8];
} freed;

static int begin_rmap(void **state)
{
	int r = begin(state);

	frames = calloc(NFRAMES, sizeof(*frames));
	backing = (struct frame_pool){ .frames = frames,
				       .base_pfn = WORLD_BACKING >> PAGE_SHIFT,
				       .nframes = NFRAMES };
	ept_rmap_init(&rmap, &backing);
	memset(&found, 0, sizeof(found));
	memset(&freed, 0, sizeof(freed));
	return frames ? r : -1;
}

static int end_rmap(void **state)
{
	free(frames);
	return end(state);
}

static void visit(void *ctx, const struct ept_mapping *m)
{
	(void)ctx;
	assert_in_range(found.n, 0, ARRAY_LEN(found.m) - 1);
	found.m[found.n++] = *m;
}

static void unused(void *ctx, hpa_t block, unsigned int order)
{
	(void)ctx;
	assert_int_equal(order, 9);
	freed.block[freed.n++ % ARRAY_LEN(freed.block)] = block.v;
}

static hpa_t frame_at(uint64_t i)
{
	return hpa(WORLD_BACKING + (i << PAGE_SHIFT));
}

static unsigned int find(uint64_t i)
{
	found.n = 0;
	return ept_rmap_find(&rmap, frame_at(i), visit, NULL);
}

static struct ept_extent extent(gfn_t gfn, uint64_t n)
{
	return (struct ept_extent){
		.ept = &w.ept, .gfn = gfn, .frames = n, .backing = frame_at(gfn), .order = 9
	};
}

static void a_frame_is_found_at_whatever_granularity_it_is_mapped(void **state)
{
	struct ept_extent e = extent(0, F_1G);

	(void)state;
	map(0, F_1G, EPT_ABSENT);
	assert_int_equal(ept_rmap_add(&rmap, &e), 0);
	assert_int_equal(find(77), 1);
	assert_int_equal(found.m[0].gfn, 77);
	assert_int_equal(found.m[0].state.level, PG_LEVEL_1G);
	assert_int_equal(found.m[0].state.kind, EPT_ABSENT);
	at(STEP_ARRIVE, 77, PG_LEVEL_4K);
	assert_int_equal(find(77), 1);
	assert_int_equal(found.m[0].state.level, PG_LEVEL_4K);
	assert_int_equal(found.m[0].state.kind, EPT_PRESENT);
	range(STEP_UNMAP, 77, 1);
	assert_int_equal(find(77), 0);
	assert_int_equal(find(78), 1);
	assert_int_equal(find(F_1G - 1), 1);
	assert_int_equal(find(F_1G), 0);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	ept_rmap_remove(&rmap, &e, unused, NULL);
	assert_int_equal(find(78), 0);
}

static void a_block_is_free_when_the_last_extent_is_gone(void **state)
{
	struct ept_extent a = extent(0, 4 * F_2M), b = extent(F_2M, F_2M);

	(void)state;
	b.gfn = F_1G; /* the same memory at another address */
	map(0, 4 * F_2M, EPT_PRESENT);
	step((struct step){ .code = STEP_MAP,
			    .gfn = F_1G,
			    .frames = F_2M,
			    .backing = F_2M,
			    .kind = EPT_PRESENT,
			    .perms = EPT_RWX,
			    .memtype = EPT_WB });
	assert_int_equal(ept_rmap_add(&rmap, &a), 0);
	assert_int_equal(ept_rmap_add(&rmap, &b), 0);
	assert_int_equal(ept_rmap_refs(&rmap, frame_at(0)), 1);
	assert_int_equal(ept_rmap_refs(&rmap, frame_at(F_2M)), 2);
	assert_int_equal(find(F_2M + 3), 2);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(F_2M), 9), 2);
	ept_rmap_remove(&rmap, &a, unused, NULL);
	assert_int_equal(freed.n, 3);
	assert_int_equal(ept_rmap_refs(&rmap, frame_at(F_2M)), 1);
	ept_rmap_remove(&rmap, &b, unused, NULL);
	assert_int_equal(freed.n, 4);
	assert_int_equal(freed.block[3], WORLD_BACKING + ((uint64_t)F_2M << PAGE_SHIFT));
}

static void a_block_counts_the_entries_that_map_something_of_it(void **state)
{
	struct ept_extent e = extent(0, F_1G);

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	assert_int_equal(ept_rmap_add(&rmap, &e), 0);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(F_2M), 9), 1);
	at(STEP_SPLIT, F_2M, PG_LEVEL_4K);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(F_2M), 9), F_2M);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(0), 18), 511 + F_2M);
	at(STEP_POISON, F_2M + 1, PG_LEVEL_NONE);
	range(STEP_UNMAP, F_2M + 2, 3);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(F_2M), 9), F_2M - 3);
	/* One that went elsewhere refers to another block, and is found by its own frame. */
	at(STEP_FREEZE, F_2M + 9, PG_LEVEL_4K);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(F_2M), 9), F_2M - 3);
	(void)ept_thaw(me(), &w.frozen, frame_at(3 * F_1G + 5));
	ept_rmap_own(&rmap, frame_at(3 * F_1G + 5), F_2M + 9);
	assert_int_equal(ept_rmap_count(&rmap, frame_at(F_2M), 9), F_2M - 4);
	assert_int_equal(find(3 * F_1G + 5), 1);
	assert_int_equal(found.m[0].gfn, F_2M + 9);
	assert_int_equal(find(F_2M + 9), 0);
	assert_int_equal(find(3 * F_1G + 6), 0);
	ept_rmap_remove(&rmap, &e, unused, NULL);
}

/* Whoever it was copied for first, and wherever that one is now. */
static void a_frame_of_its_own_is_found_in_all_clones_that_have_it(void **state)
{
	struct ept_extent of_original = extent(0, F_2M), of_clone = extent(0, F_2M);
	const uint64_t copy = 3 * F_1G + 5;

	(void)state;
	world_add_clone(&w);
	of_clone.ept = &w.clone.ept;
	map(0, F_2M, EPT_PRESENT);
	assert_int_equal(ept_rmap_add(&rmap, &of_original), 0);
	at(STEP_FREEZE, 9, PG_LEVEL_4K);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	(void)ept_thaw(me(), &w.frozen, frame_at(copy));
	ept_rmap_own(&rmap, frame_at(copy), 9);
	assert_int_equal(ept_clone(me(), ept_cpu(&w.clone.ept, 0), 0, F_2M, EPT_PRIVATE, &w.gather),
			 0);
	assert_int_equal(ept_rmap_add(&rmap, &of_clone), 0);
	assert_int_equal(find(copy), 2);
	assert_ptr_equal(found.m[0].ept, &w.ept);
	assert_ptr_equal(found.m[1].ept, &w.clone.ept);
	assert_int_equal(found.m[1].gfn, 9);
	ept_rmap_remove(&rmap, &of_original, unused, NULL);
	assert_int_equal(find(copy), 1);
	assert_ptr_equal(found.m[0].ept, &w.clone.ept);
	ept_rmap_remove(&rmap, &of_clone, unused, NULL);
	assert_int_equal(find(copy), 0);
	ept_sync(&w.gather);
}

static void extents_that_make_no_sense_are_refused(void **state)
{
	static struct ept spaces[EPT_SPACES_MAX];
	struct ept_extent e = extent(1, F_2M), many[EPT_SPACES_MAX + 1];

	(void)state;
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	e = extent(0, 0);
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	e = extent(0, F_2M + 1);
	assert_int_equal(ept_rmap_add(&rmap, &e), EPT_INVALID);
	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++) {
		spaces[i].walk.space = F_1G;
		spaces[i].backing_end = UINT64_C(1) << 52;
		many[i] = extent(0, F_2M);
		many[i].ept = &spaces[i];
		assert_int_equal(ept_rmap_add(&rmap, &many[i]), 0);
	}
	many[EPT_SPACES_MAX] = extent(0, F_2M);
	assert_int_equal(ept_rmap_add(&rmap, &many[EPT_SPACES_MAX]), EPT_FULL);
	assert_int_equal(ept_rmap_refs(&rmap, frame_at(0)), EPT_SPACES_MAX);
	/* Room again. */
	ept_rmap_remove(&rmap, &many[3], unused, NULL);
	assert_int_equal(ept_rmap_add(&rmap, &many[EPT_SPACES_MAX]), 0);
	assert_int_equal(freed.n, 0);
}

/* --- monitoring --- */

static struct ept_monitor monitor;

static void regions_tile_the_range(gfn_t gfn, uint64_t n)
{
	gfn_t next = gfn;

	for (unsigned int i = 0; i < monitor.n; i++) {
		assert_int_equal(monitor.region[i].gfn, next);
		assert_true(monitor.region[i].frames > 0);
		next += monitor.region[i].frames;
	}
	assert_int_equal(next, gfn + n);
	assert_in_range(monitor.n, monitor.min, monitor.max);
}

/* The guest's accesses of one interval: all of [from, to) in 2 MiB steps, by 4 KiB pages near each
 * region's sample, since only these are looked at. */
static void run_guest(gfn_t from, gfn_t to)
{
	for (unsigned int i = 0; i < monitor.n; i++) {
		gfn_t sample = monitor.region[i].sample;

		if (sample >= from && sample < to)
			touch((unsigned int)sample, false, 0);
	}
}

static void watch(gfn_t from, gfn_t to, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds * 10; i++) {
		ept_monitor_sample(&monitor, me(), &w.gather);
		assert_true(w.gather.owed);
		ept_sync(&w.gather);
		run_guest(from, to);
		ept_monitor_count(&monitor, &w.ept);
		if (i % 10 == 9 && i + 1 < rounds * 10) {
			ept_monitor_adapt(&monitor);
			regions_tile_the_range(0, F_1G);
		}
	}
	ept_monitor_adapt(&monitor);
}

/* Frames of the hottest regions that lie in [from, to), and outside. */
static void weigh(gfn_t from, gfn_t to, uint64_t *in, uint64_t *out)
{
	uint8_t order[EPT_REGIONS_MAX];
	unsigned int n = ept_monitor_hottest(&monitor, 8, order);

	*in = *out = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct ept_region *r = &monitor.region[order[i]];
		gfn_t a = MAX(r->gfn, from), b = MIN(r->gfn + r->frames, to);

		if (i)
			assert_true(r->heat <= monitor.region[order[i - 1]].heat);
		*in += b > a ? b - a : 0;
		*out += r->frames - (b > a ? b - a : 0);
	}
}

static void hot_and_cold_are_told_apart_at_mixed_granularity(void **state)
{
	const gfn_t from = 100 * F_2M, to = 164 * F_2M;
	uint64_t in, out;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	/* The cold parts in single pages here and in 2 MiB there, the hot one in both. */
	for (unsigned int i = 0; i < 512; i += 3)
		at(STEP_SPLIT, i * F_2M, PG_LEVEL_4K);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 10, 40, 1), 0);
	watch(from, to, 20);
	weigh(from, to, &in, &out);
	assert_true(in > (to - from) * 8 / 10);
	assert_true(out < (to - from) * 3 / 10);
	assert_int_equal(ept_lookup(&w.ept, from + F_2M).level, PG_LEVEL_2M);
}

static void heat_follows_the_guest(void **state)
{
	uint64_t in, out;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	for (unsigned int i = 0; i < 512; i++)
		at(STEP_SPLIT, i * F_2M, PG_LEVEL_2M);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 10, 60, 2), 0);
	watch(0, F_1G / 8, 15);
	watch(F_1G / 2, F_1G * 5 / 8, 20);
	weigh(F_1G / 2, F_1G * 5 / 8, &in, &out);
	assert_true(in > F_1G / 8 * 8 / 10);
	assert_true(out < F_1G / 8 * 3 / 10);
}

static void the_cost_is_bounded_by_regions_not_by_memory(void **state)
{
	(void)state;
	map(0, 2 * F_1G, EPT_PRESENT);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 10, 20, 3), 0);
	w.flushes = 0;
	watch(0, F_1G, 10);
	/* One flush for each interval, nothing split, at most `max` samples. */
	assert_int_equal(w.flushes, 100);
	assert_leaves(2, 0, 0, 2);
	assert_int_equal(stats()->splits_present, 0);
	assert_in_range(monitor.n, 10, 20);
}

/* Of leaves of all sizes, and of a page that was touched before and not since. */
static void touched_leaves_are_counted_once_an_interval(void **state)
{
	gfn_t next = 0;

	(void)state;
	map(0, 2 * F_1G, EPT_PRESENT);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	(void)ept_touched(me(), &next, 2 * F_1G, UINT32_MAX, &w.gather);
	ept_sync(&w.gather);
	touch(3, false, 0);
	touch(4, false, 0);
	touch(5 * F_2M + 7, false, 0);
	touch(F_1G + 9, false, 0);
	next = 0;
	assert_int_equal(ept_touched(me(), &next, 2 * F_1G, 4, &w.gather), 1);
	assert_int_equal(next, 4);
	assert_int_equal(ept_touched(me(), &next, 2 * F_1G, 2000, &w.gather), 3);
	assert_int_equal(next, 2 * F_1G);
	ept_sync(&w.gather);
	touch(4, false, 0);
	next = 0;
	assert_int_equal(ept_touched(me(), &next, 2 * F_1G, 2000, &w.gather), 1);
	ept_sync(&w.gather);
	assert_leaves(1, 511, 512, 4);
}

static void what_is_not_present_is_cold(void **state)
{
	uint8_t order[EPT_REGIONS_MAX];

	(void)state;
	map(0, F_2M, EPT_ABSENT);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 4, 8, 3), 0);
	for (unsigned int i = 0; i < 10; i++) {
		ept_monitor_sample(&monitor, me(), &w.gather);
		assert_false(w.gather.owed);
		ept_monitor_count(&monitor, &w.ept);
	}
	ept_monitor_adapt(&monitor);
	assert_int_equal(ept_monitor_hottest(&monitor, 1, order), 0);
}

static void what_is_cold_all_over_is_still_looked_at_in_many_places(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 16, 64, 7), 0);
	watch(0, 0, 12);
	for (unsigned int i = 0; i < monitor.n; i++)
		assert_in_range(monitor.region[i].frames, 1, F_1G / 16);
}

static void regions_that_all_differ_are_divided_up_to_the_most(void **state)
{
	const unsigned int n[] = { 20, 25, 25 };

	(void)state;
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 10, 25, 1), 0);
	for (unsigned int round = 0; round < ARRAY_LEN(n); round++) {
		for (unsigned int i = 0; i < monitor.n; i++)
			monitor.region[i].hits = i % 2 ? 100 : 0;
		monitor.intervals = 100;
		ept_monitor_adapt(&monitor);
		regions_tile_the_range(0, F_1G);
		assert_int_equal(monitor.n, n[round]);
	}
}

static void monitors_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 0, 8, 1), EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 5, 8, 1), EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, F_1G, 4, EPT_REGIONS_MAX + 1, 1),
			 EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, 3, 4, 8, 1), EPT_INVALID);
	assert_int_equal(ept_monitor_begin(&monitor, &w.ept, 0, 4, 4, 8, 1), 0);
}

#define RMAP_CASE(name)                                                                            \
	{ #name "_on_EPT", name, begin_rmap, end_rmap, (void *)&ept_format_intel },                \
	{                                                                                          \
#name "_on_NPT", name, begin_rmap, end_rmap, (void *)&ept_format_amd               \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RMAP_CASE(a_frame_is_found_at_whatever_granularity_it_is_mapped),
		RMAP_CASE(a_block_is_free_when_the_last_extent_is_gone),
		RMAP_CASE(a_block_counts_the_entries_that_map_something_of_it),
		RMAP_CASE(a_frame_of_its_own_is_found_in_all_clones_that_have_it),
		RMAP_CASE(extents_that_make_no_sense_are_refused),
		CASE(hot_and_cold_are_told_apart_at_mixed_granularity),
		CASE(heat_follows_the_guest),
		CASE(the_cost_is_bounded_by_regions_not_by_memory),
		CASE(touched_leaves_are_counted_once_an_interval),
		CASE(what_is_not_present_is_cold),
		CASE(what_is_cold_all_over_is_still_looked_at_in_many_places),
		CASE(regions_that_all_differ_are_divided_up_to_the_most),
		CASE(monitors_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests_name("the second stage: reverse lookup and monitoring", tests,
					   NULL, NULL);
}
