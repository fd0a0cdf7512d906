/* SPDX-License-Identifier: MIT */
/* Lists of memory ranges, against a map with one flag for each frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "boot/base/ranges.h"

#define SPACE 96 /* frames: at most 48 pieces, so nothing is ever dropped */
#define STEPS 20000

static uint64_t random_below(uint64_t n)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % n;
}

/* Sorted, apart from each other, and just the frames that the map has. */
static void check(const struct ranges *list, const bool *map)
{
	bool seen[SPACE] = { false };
	uint64_t end = 0;

	for (unsigned int i = 0; i < list->n; i++) {
		const struct boot_range *r = &list->r[i];

		assert_true(r->frames > 0);
		assert_true(i == 0 || r->pfn > end);
		end = r->pfn + r->frames;
		assert_true(end <= SPACE);
		memset(seen + r->pfn, true, r->frames);
	}
	assert_memory_equal(seen, map, SPACE);
}

static void adding_and_removing_agrees_with_a_map_of_frames(void **state)
{
	static struct ranges list;
	bool map[SPACE] = { false };

	(void)state;
	for (unsigned int i = 0; i < STEPS; i++) {
		uint64_t pfn = random_below(SPACE), n = random_below(MIN(SPACE - pfn, 12) + 1);
		bool add = random_below(2);

		(add ? ranges_add : ranges_remove)(&list, pfn, n);
		memset(map + pfn, add, n);
		check(&list, map);
	}
	assert_int_equal(list.dropped, 0);
}

static void neighbours_become_one_range(void **state)
{
	static struct ranges list;

	(void)state;
	ranges_add(&list, 10, 5);
	ranges_add(&list, 20, 5);
	assert_int_equal(list.n, 2);
	ranges_add(&list, 15, 5);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.r[0].pfn, 10);
	assert_int_equal(list.r[0].frames, 15);
	assert_int_equal(ranges_frames(&list), 15);
}

static void a_full_list_drops_its_smallest_piece_and_counts_it(void **state)
{
	static struct ranges list;

	(void)state;
	for (uint64_t i = 0; i < BOOT_RANGES_MAX; i++)
		ranges_add(&list, i * 100, i == 7 ? 3 : 10);
	assert_int_equal(list.n, BOOT_RANGES_MAX);
	ranges_add(&list, BOOT_RANGES_MAX * 100, 2); /* smaller than all: it is the one */
	assert_int_equal(list.dropped, 2);
	ranges_add(&list, BOOT_RANGES_MAX * 100, 5); /* number 7 gives way */
	assert_int_equal(list.dropped, 5);
	assert_int_equal(list.n, BOOT_RANGES_MAX);
	ranges_remove(&list, 1504, 2); /* number 15 falls into two of 4, one gives way */
	assert_int_equal(list.n, BOOT_RANGES_MAX);
	assert_int_equal(list.dropped, 9);
	assert_int_equal(ranges_frames(&list), (BOOT_RANGES_MAX - 2) * 10 + 5 + 4);
}

static void best_fit_is_the_smallest_room_below_the_limit(void **state)
{
	static struct ranges list;

	(void)state;
	ranges_add(&list, 100, 50);
	ranges_add(&list, 200, 8);
	ranges_add(&list, 300, 20);
	assert_int_equal(ranges_best_fit(&list, 8, 1000), 200);
	assert_int_equal(ranges_best_fit(&list, 9, 1000), 300);
	assert_int_equal(ranges_best_fit(&list, 9, 309), 300);
	assert_int_equal(ranges_best_fit(&list, 9, 308), 100);
	assert_int_equal(ranges_best_fit(&list, 21, 1000), 100);
	assert_true(ranges_best_fit(&list, 51, 1000) == UINT64_MAX);
	assert_true(ranges_best_fit(&list, 8, 107) == UINT64_MAX);
}

static void what_lies_beyond_the_limit_is_taken_out_and_counted(void **state)
{
	static struct ranges list;

	(void)state;
	ranges_add(&list, 100, 50);
	ranges_add(&list, 200, 8);
	ranges_add(&list, UINT64_C(1) << 39, 20);
	ranges_limit(&list, 1000);
	assert_int_equal(list.beyond, 20);
	assert_int_equal(list.n, 2);
	ranges_limit(&list, 140);
	assert_int_equal(list.beyond, 38);
	assert_int_equal(list.n, 1);
	assert_int_equal(ranges_frames(&list), 40);
}

static void rounding_moves_both_ends_outwards_and_merges(void **state)
{
	static struct ranges list, out;

	(void)state;
	ranges_add(&list, 10, 5);
	ranges_add(&list, 60, 4);
	ranges_add(&list, 65, 1);
	ranges_add(&list, 1024, 64);
	out.n = 7;
	out.beyond = 3;
	ranges_round(&out, &list, 64);
	assert_int_equal(out.n, 2);
	assert_int_equal(out.beyond, 0);
	assert_int_equal(out.r[0].pfn, 0);
	assert_int_equal(out.r[0].frames, 128);
	assert_int_equal(out.r[1].pfn, 1024);
	assert_int_equal(out.r[1].frames, 64);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding_and_removing_agrees_with_a_map_of_frames),
		cmocka_unit_test(neighbours_become_one_range),
		cmocka_unit_test(a_full_list_drops_its_smallest_piece_and_counts_it),
		cmocka_unit_test(best_fit_is_the_smallest_room_below_the_limit),
		cmocka_unit_test(what_lies_beyond_the_limit_is_taken_out_and_counted),
		cmocka_unit_test(rounding_moves_both_ends_outwards_and_merges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
