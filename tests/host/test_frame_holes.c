/* SPDX-License-Identifier: MIT */
/* The frame allocator where memory has holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "mm/err.h"
#include "mm/frame.h"

#define HOLE_END (UINT64_C(1) << 28) /* frames: memory goes on at 1 TiB */

/* Room for the descriptors of 1 TiB and a bit, of which nothing can be touched yet. */
static struct frame *reserve_descriptors(size_t bytes)
{
	struct frame *frames =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(frames, MAP_FAILED);
	return frames;
}

static void put_descriptors(struct frame *frames, uint64_t pfn, uint64_t n)
{
	assert_int_equal(mprotect(&frames[pfn], n * sizeof(*frames), PROT_READ | PROT_WRITE), 0);
	/* As the machine's memory is: not cleared. */
	memset(&frames[pfn], 0xff, n * sizeof(*frames));
}

static void memory_behind_a_hole_costs_descriptors_for_what_is_there(void **state)
{
	static struct frame_pool pool;
	uint64_t end = HOLE_END + FRAME_SECTION + 512;
	struct frame *frames = reserve_descriptors(end * sizeof(*frames));
	hpa_t high[2], low;

	(void)state;
	frame_pool_init(&pool, frames, 0, end, 0, false);
	put_descriptors(frames, 0, FRAME_SECTION);
	put_descriptors(frames, HOLE_END, end - HOLE_END);
	assert_int_equal(frame_add(&pool, 256, 1000), 0);
	assert_int_equal(frame_add(&pool, HOLE_END, FRAME_SECTION + 512), 0);
	assert_null(frame_pool_check(&pool));
	assert_int_equal(pool.total, FRAME_SECTION + 1512);
	high[0] = frame_alloc(&pool, FRAME_ORDER_1G);
	assert_true(high[0].v == HOLE_END * PAGE_SIZE);
	high[1] = frame_alloc(&pool, FRAME_ORDER_2M);
	low = frame_alloc(&pool, FRAME_ORDER_2M - 1);
	assert_true(low.v < MIB * 1024 && high[1].v < end * PAGE_SIZE);
	/* Of the hole there is nothing to give back, and no descriptor to look at. */
	assert_int_equal(frame_free(&pool, hpa(HOLE_END / 2 * PAGE_SIZE), 0), -EINVAL);
	assert_int_equal(frame_add(&pool, end - 1, 2), -EINVAL);
	assert_int_equal(frame_free(&pool, high[0], FRAME_ORDER_1G), 0);
	assert_int_equal(frame_free(&pool, high[1], FRAME_ORDER_2M), 0);
	assert_int_equal(frame_free(&pool, low, FRAME_ORDER_2M - 1), 0);
	assert_null(frame_pool_check(&pool));
	assert_int_equal(pool.free, pool.total);
	munmap(frames, end * sizeof(*frames));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_behind_a_hole_costs_descriptors_for_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
