/* SPDX-License-Identifier: MIT */
/* The frame allocator: what a caller may rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "mm/err.h"
#include "tests/host/arena.h"

#define FRAMES_1G (UINT64_C(1) << FRAME_ORDER_1G)

static void assert_sound(struct frame_pool *pool)
{
	const char *wrong = frame_pool_check(pool);

	if (wrong)
		fail_msg("%s", wrong);
}

static hpa_t must_alloc(struct frame_pool *pool, unsigned int order)
{
	hpa_t block = frame_alloc(pool, order);

	assert_int_not_equal(block.v, HPA_NONE.v);
	return block;
}

static void must_free(struct frame_pool *pool, hpa_t block, unsigned int order)
{
	assert_int_equal(frame_free(pool, block, order), 0);
}

static void a_fresh_pool_is_whole_gibs(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 2 * FRAMES_1G, false);
	assert_int_equal(frame_count_free(&a.pool, FRAME_ORDER_1G), 2);
	assert_int_equal(frame_count_free(&a.pool, FRAME_ORDER_2M), 1024);
	assert_int_equal(frame_count_free(&a.pool, FRAME_ORDER_4K), 2 * FRAMES_1G);
	assert_int_equal(a.pool.total, 2 * FRAMES_1G);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void a_block_is_aligned_to_its_size_at_every_order(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 2 * FRAMES_1G, false);
	/* An odd frame first, so that nothing is aligned by luck. */
	must_alloc(&a.pool, 0);
	for (unsigned int order = 0; order < FRAME_ORDERS; order++) {
		hpa_t block = must_alloc(&a.pool, order);

		assert_true(IS_ALIGNED(block.v, PAGE_SIZE << order));
		assert_true(block.v >= ARENA_BASE);
		assert_true(block.v + (PAGE_SIZE << order) <= ARENA_BASE + 2 * GIB);
		assert_sound(&a.pool);
	}
	arena_fini(&a);
}

static void a_gib_block_can_be_had_and_used_to_its_last_byte(void **state)
{
	struct arena a;
	hpa_t block;
	char *p;

	(void)state;
	arena_init(&a, FRAMES_1G, false);
	block = must_alloc(&a.pool, FRAME_ORDER_1G);
	assert_int_equal(block.v, ARENA_BASE);
	p = frame_virt(&a.pool, block);
	p[0] = 1;
	p[GIB - 1] = 2;
	assert_int_equal(frame_alloc(&a.pool, 0).v, HPA_NONE.v);
	must_free(&a.pool, block, FRAME_ORDER_1G);
	assert_int_equal(frame_count_free(&a.pool, FRAME_ORDER_1G), 1);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void freed_blocks_merge_to_1g(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, FRAMES_1G, false);
	for (uint64_t i = 0; i < FRAMES_1G; i++)
		must_alloc(&a.pool, 0);
	assert_int_equal(a.pool.free, 0);
	/* Every other frame first, so that all merging is left to the second half. */
	for (uint64_t i = 0; i < FRAMES_1G; i += 2)
		must_free(&a.pool, hpa(ARENA_BASE + i * PAGE_SIZE), 0);
	assert_int_equal(frame_count_free(&a.pool, 1), 0);
	assert_sound(&a.pool);
	for (uint64_t i = 1; i < FRAMES_1G; i += 2)
		must_free(&a.pool, hpa(ARENA_BASE + i * PAGE_SIZE), 0);
	assert_int_equal(frame_count_free(&a.pool, FRAME_ORDER_1G), 1);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void blocks_of_other_parents_do_not_merge(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 4, false);
	for (unsigned int i = 0; i < 4; i++)
		must_alloc(&a.pool, 0);
	/* Neighbours, but not buddies. */
	must_free(&a.pool, hpa(ARENA_BASE + 1 * PAGE_SIZE), 0);
	must_free(&a.pool, hpa(ARENA_BASE + 2 * PAGE_SIZE), 0);
	assert_int_equal(frame_count_free(&a.pool, 1), 0);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void exhaustion_returns_none_and_changes_nothing(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 8, false);
	must_alloc(&a.pool, 2);
	must_alloc(&a.pool, 0);
	assert_int_equal(frame_alloc(&a.pool, 2).v, HPA_NONE.v);
	assert_int_equal(frame_alloc(&a.pool, FRAME_ORDER_1G).v, HPA_NONE.v);
	assert_int_equal(a.pool.free, 3);
	must_alloc(&a.pool, 1);
	must_alloc(&a.pool, 0);
	assert_int_equal(frame_alloc(&a.pool, 0).v, HPA_NONE.v);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void an_order_above_1g_is_refused(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, FRAMES_1G, false);
	assert_int_equal(frame_alloc(&a.pool, FRAME_ORDERS).v, HPA_NONE.v);
	assert_int_equal(frame_alloc(&a.pool, 64).v, HPA_NONE.v);
	assert_int_equal(frame_alloc(&a.pool, UINT32_MAX).v, HPA_NONE.v);
	assert_int_equal(frame_free(&a.pool, hpa(ARENA_BASE), FRAME_ORDERS), -EINVAL);
	assert_int_equal(frame_count_free(&a.pool, FRAME_ORDERS), 0);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void a_double_free_is_refused(void **state)
{
	struct arena a;
	hpa_t one, two;

	(void)state;
	arena_init(&a, 8, true);
	one = must_alloc(&a.pool, 0);
	two = must_alloc(&a.pool, 1);
	must_free(&a.pool, one, 0);
	assert_int_equal(frame_free(&a.pool, one, 0), -EINVAL);
	must_free(&a.pool, two, 1);
	/* By now both are inside of a larger free block. */
	assert_int_equal(frame_free(&a.pool, two, 1), -EINVAL);
	assert_int_equal(frame_free(&a.pool, one, 0), -EINVAL);
	assert_int_equal(a.pool.free, 8);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void a_free_of_the_wrong_order_is_refused(void **state)
{
	struct arena a;
	hpa_t block;

	(void)state;
	arena_init(&a, 16, true);
	block = must_alloc(&a.pool, 2);
	*(char *)frame_virt(&a.pool, block) = 'x';
	for (unsigned int order = 0; order < 70; order++) {
		if (order != 2)
			assert_int_equal(frame_free(&a.pool, block, order), -EINVAL);
	}
	assert_int_equal(*(char *)frame_virt(&a.pool, block), 'x');
	assert_int_equal(a.pool.free, 12);
	must_free(&a.pool, block, 2);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void a_free_of_a_foreign_address_is_refused(void **state)
{
	struct arena a;
	hpa_t block;

	(void)state;
	arena_init_empty(&a, 16, true);
	assert_int_equal(frame_add(&a.pool, arena_pfn(), 8), 0);
	block = must_alloc(&a.pool, 2);
	assert_int_equal(frame_free(&a.pool, hpa(0), 2), -EINVAL);
	assert_int_equal(frame_free(&a.pool, HPA_NONE, 2), -EINVAL);
	assert_int_equal(frame_free(&a.pool, hpa(ARENA_BASE - PAGE_SIZE), 0), -EINVAL);
	assert_int_equal(frame_free(&a.pool, hpa(ARENA_BASE + 16 * PAGE_SIZE), 0), -EINVAL);
	assert_int_equal(frame_free(&a.pool, hpa(ARENA_BASE + 12 * PAGE_SIZE), 2), -EINVAL);
	assert_int_equal(frame_free(&a.pool, hpa(block.v + 1), 2), -EINVAL);
	assert_int_equal(frame_free(&a.pool, hpa(block.v + PAGE_SIZE), 0), -EINVAL);
	must_free(&a.pool, block, 2);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void a_new_block_has_a_clean_descriptor(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 64, true);
	for (unsigned int round = 0; round < 64; round++) {
		unsigned int order = round % 3;
		hpa_t block = must_alloc(&a.pool, order);
		struct frame *f = frame_of(&a.pool, block);

		assert_int_equal(f->state, FRAME_USED);
		assert_int_equal(f->order, order);
		assert_int_equal(atomic_load(&f->owner), 0);
		assert_int_equal(atomic_load(&f->refs), 0);
		atomic_store(&f->owner, UINT64_MAX);
		atomic_store(&f->refs, UINT32_MAX);
		must_free(&a.pool, block, order);
	}
	arena_fini(&a);
}

static void overlapping_adds_are_refused(void **state)
{
	struct arena a;
	uint64_t p = arena_pfn();

	(void)state;
	arena_init_empty(&a, 64, false);
	assert_int_equal(frame_add(&a.pool, p + 8, 8), 0);
	assert_int_equal(frame_add(&a.pool, p + 15, 2), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p + 7, 2), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p, 64), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p + 8, 8), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p - 1, 2), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p + 63, 2), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p + 64, 1), -EINVAL);
	assert_int_equal(frame_add(&a.pool, p + 16, UINT64_MAX), -EINVAL);
	assert_int_equal(frame_add(&a.pool, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(a.pool.total, 8);
	assert_int_equal(frame_add(&a.pool, p + 16, 0), 0);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void any_range_becomes_the_largest_aligned_blocks(void **state)
{
	(void)state;
	for (uint64_t begin = 0; begin <= 20; begin++) {
		for (uint64_t end = begin; end <= 20; end++) {
			struct arena a;
			uint64_t blocks = 0, fewest = 0;

			arena_init_empty(&a, 32, false);
			assert_int_equal(frame_add(&a.pool, arena_pfn() + begin, end - begin), 0);
			assert_sound(&a.pool);
			assert_int_equal(a.pool.free, end - begin);
			for (unsigned int order = 0; order < FRAME_ORDERS; order++)
				blocks += a.pool.free_blocks[order];
			/* Independently: from each place the largest power of two that fits. */
			for (uint64_t at = begin; at < end; fewest++) {
				uint64_t n = 32;

				while (at % n || at + n > end)
					n /= 2;
				at += n;
			}
			assert_int_equal(blocks, fewest);
			arena_fini(&a);
		}
	}
}

static void adjacent_adds_merge(void **state)
{
	struct arena a;

	(void)state;
	arena_init_empty(&a, 32, false);
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(frame_add(&a.pool, arena_pfn() + (i * 7) % 32, 1), 0);
	assert_int_equal(frame_count_free(&a.pool, 5), 1);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void adding_leaves_the_contents_alone(void **state)
{
	struct arena a;
	char *p;

	(void)state;
	arena_init_empty(&a, 8, true);
	p = a.memory;
	memset(p, 'c', 8 * PAGE_SIZE);
	assert_int_equal(frame_add(&a.pool, arena_pfn(), 8), 0);
	for (uint64_t i = 0; i < 8 * PAGE_SIZE; i++)
		assert_int_equal(p[i], 'c');
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void low_water_is_the_fewest_ever_free(void **state)
{
	struct arena a;
	hpa_t one, two;

	(void)state;
	arena_init_empty(&a, 64, false);
	assert_int_equal(frame_add(&a.pool, arena_pfn(), 16), 0);
	assert_int_equal(a.pool.low_water, 16);
	one = must_alloc(&a.pool, 2);
	two = must_alloc(&a.pool, 3);
	assert_int_equal(a.pool.low_water, 4);
	must_free(&a.pool, two, 3);
	must_alloc(&a.pool, 0);
	assert_int_equal(a.pool.low_water, 4);
	/* Memory that is added later counts as if it had been here all the time. */
	assert_int_equal(frame_add(&a.pool, arena_pfn() + 32, 16), 0);
	assert_int_equal(a.pool.low_water, 20);
	must_free(&a.pool, one, 2);
	assert_int_equal(a.pool.low_water, 20);
	assert_sound(&a.pool);
	arena_fini(&a);
}

static void write_after_free(unsigned int order, uint64_t offset)
{
	struct arena a;
	hpa_t block;
	char *p;

	arena_init(&a, 1024, true);
	block = must_alloc(&a.pool, order);
	must_alloc(&a.pool, order); /* else both merge to a larger block */
	p = frame_virt(&a.pool, block);
	memset(p, 0, PAGE_SIZE << order);
	must_free(&a.pool, block, order);
	assert_sound(&a.pool);
	p[offset] ^= 1;
	assert_non_null(frame_pool_check(&a.pool));
	p[offset] ^= 1;
	assert_sound(&a.pool);
	arena_fini(&a);
}

/* In a large block where each cache line ends. */
static void a_write_after_free_is_found(void **state)
{
	static const uint64_t small[] = { 0, 1, 64, 4095 };
	static const uint64_t large[] = { 56, 4095, 4096 + 63, 100031, 2 * MIB - 1 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(small); i++)
		write_after_free(FRAME_ORDER_4K, small[i]);
	for (unsigned int i = 0; i < ARRAY_LEN(large); i++)
		write_after_free(FRAME_ORDER_2M, large[i]);
}

static void a_write_to_the_ends_of_a_large_free_block_is_found(void **state)
{
	struct arena a;
	hpa_t block;
	char *p;

	(void)state;
	arena_init(&a, 4096, true);
	block = must_alloc(&a.pool, 12);
	must_free(&a.pool, block, 12);
	assert_sound(&a.pool);
	p = frame_virt(&a.pool, block);
	p[4095] ^= 1;
	assert_non_null(frame_pool_check(&a.pool));
	p[4095] ^= 1;
	p[(PAGE_SIZE << 12) - 1] ^= 1;
	assert_non_null(frame_pool_check(&a.pool));
	arena_fini(&a);
}

static void assert_freed_is_junk(unsigned int order, uint64_t last_bytes_of_line)
{
	struct arena a;
	hpa_t block;
	unsigned char *p;

	arena_init(&a, 4096, true);
	block = must_alloc(&a.pool, order);
	p = frame_virt(&a.pool, block);
	memset(p, 0, PAGE_SIZE << order);
	must_free(&a.pool, block, order);
	for (uint64_t i = 0; i < PAGE_SIZE << order; i++)
		if (i % CACHE_LINE >= CACHE_LINE - last_bytes_of_line && p[i] != FRAME_JUNK)
			fail_msg("order %u: byte %lu is %#x", order, (unsigned long)i, p[i]);
	arena_fini(&a);
}

static void all_of_a_freed_block_is_junk(void **state)
{
	(void)state;
	assert_freed_is_junk(0, CACHE_LINE);
	assert_freed_is_junk(8, CACHE_LINE);
}

static void each_line_of_a_large_freed_block_is_spoilt(void **state)
{
	(void)state;
	assert_freed_is_junk(9, sizeof(uint64_t));
	assert_freed_is_junk(11, sizeof(uint64_t));
}

static void without_junk_contents_are_not_touched(void **state)
{
	struct arena a;
	hpa_t block;
	char *p;

	(void)state;
	arena_init(&a, 16, false);
	block = must_alloc(&a.pool, 0);
	p = frame_virt(&a.pool, block);
	memset(p, 'k', PAGE_SIZE);
	must_free(&a.pool, block, 0);
	for (uint64_t i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(p[i], 'k');
	arena_fini(&a);
}

/* Each of these breaks one thing that the check must see. */
static void the_check_names_broken_bookkeeping(void **state)
{
	struct arena a;
	struct frame_pool saved;
	struct frame frames[16];

	(void)state;
	arena_init(&a, 16, false);
	must_alloc(&a.pool, 0); /* frame 0; free: 1, 2-3, 4-7, 8-15 */
	memcpy(&saved, &a.pool, sizeof(saved));
	memcpy(frames, a.frames, sizeof(frames));
	assert_sound(&a.pool);
#define BREAKS(what)                                                                               \
	do {                                                                                       \
		what;                                                                              \
		if (!frame_pool_check(&a.pool))                                                    \
			fail_msg("not noticed: %s", #what);                                        \
		memcpy(&a.pool, &saved, sizeof(saved));                                            \
		memcpy(a.frames, frames, sizeof(frames));                                          \
	} while (0)
	BREAKS(a.pool.free++);
	BREAKS(a.pool.total--);
	BREAKS(a.pool.low_water = 16);
	BREAKS(a.pool.free_blocks[1]++);
	BREAKS(a.pool.free_blocks[2]--);
	BREAKS(a.pool.free_head[0] = UINT32_MAX);
	BREAKS(a.pool.free_head[0] = 2);
	BREAKS(a.pool.free_head[5] = 8);
	BREAKS(a.frames[2].prev = 0);
	BREAKS(a.frames[2].next = 4);
	BREAKS(a.frames[3].state = FRAME_USED);
	BREAKS(a.frames[3].state = FRAME_RESERVED);
	BREAKS(a.frames[0].state = FRAME_TAIL);
	BREAKS(a.frames[4].order = 1);
	BREAKS(a.frames[8].order = 4);
	BREAKS(a.frames[2].order = 2);
	BREAKS(a.frames[0].order = FRAME_ORDERS);
	/* Frame 0 in the lists as it should be, but beside its buddy. */
	BREAKS(a.frames[0].state = FRAME_FREE; a.frames[0].prev = UINT32_MAX; a.frames[0].next = 1;
	       a.frames[1].prev = 0; a.pool.free_head[0] = 0; a.pool.free_blocks[0]++;
	       a.pool.free++);
#undef BREAKS
	assert_sound(&a.pool);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_pool_is_whole_gibs),
		cmocka_unit_test(a_block_is_aligned_to_its_size_at_every_order),
		cmocka_unit_test(a_gib_block_can_be_had_and_used_to_its_last_byte),
		cmocka_unit_test(freed_blocks_merge_to_1g),
		cmocka_unit_test(blocks_of_other_parents_do_not_merge),
		cmocka_unit_test(exhaustion_returns_none_and_changes_nothing),
		cmocka_unit_test(an_order_above_1g_is_refused),
		cmocka_unit_test(a_double_free_is_refused),
		cmocka_unit_test(a_free_of_the_wrong_order_is_refused),
		cmocka_unit_test(a_free_of_a_foreign_address_is_refused),
		cmocka_unit_test(a_new_block_has_a_clean_descriptor),
		cmocka_unit_test(overlapping_adds_are_refused),
		cmocka_unit_test(any_range_becomes_the_largest_aligned_blocks),
		cmocka_unit_test(adjacent_adds_merge),
		cmocka_unit_test(adding_leaves_the_contents_alone),
		cmocka_unit_test(low_water_is_the_fewest_ever_free),
		cmocka_unit_test(a_write_after_free_is_found),
		cmocka_unit_test(a_write_to_the_ends_of_a_large_free_block_is_found),
		cmocka_unit_test(all_of_a_freed_block_is_junk),
		cmocka_unit_test(each_line_of_a_large_freed_block_is_spoilt),
		cmocka_unit_test(without_junk_contents_are_not_touched),
		cmocka_unit_test(the_check_names_broken_bookkeeping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
