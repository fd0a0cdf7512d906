/* SPDX-License-Identifier: MIT */
/* The frame allocator against a model: small pools are tried out wholly, larger ones by long
 * random streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "mm/err.h"
#include "tests/host/arena.h"
#include "tests/host/random.h"

#define FRAMES_1G (UINT64_C(1) << FRAME_ORDER_1G)

static void assert_sound(struct frame_pool *pool)
{
	const char *wrong = frame_pool_check(pool);

	if (wrong)
		fail_msg("%s", wrong);
}

static void must_free(struct frame_pool *pool, hpa_t block, unsigned int order)
{
	assert_int_equal(frame_free(pool, block, order), 0);
}

/* Which frames are taken, and by blocks of which order. */
struct model {
	struct arena a;
	uint64_t n;
	signed char head[64]; /* order of the allocated block that begins here, or -1 */
	bool taken[64];
};

static bool model_has_room(const struct model *m, unsigned int order)
{
	uint64_t size = UINT64_C(1) << order;

	for (uint64_t at = 0; at + size <= m->n; at += size) {
		bool room = true;

		for (uint64_t i = 0; i < size; i++)
			room = room && !m->taken[at + i];
		if (room)
			return true;
	}
	return false;
}

static void model_alloc(struct model *m, unsigned int order)
{
	hpa_t block = frame_alloc(&m->a.pool, order);
	uint64_t at = (block.v - ARENA_BASE) >> PAGE_SHIFT;

	/* Buddies that are free are one block, so there is a block whenever there is room. */
	assert_int_equal(block.v != HPA_NONE.v, model_has_room(m, order));
	if (block.v == HPA_NONE.v)
		return;
	assert_true(at + (UINT64_C(1) << order) <= m->n);
	assert_int_equal(at % (UINT64_C(1) << order), 0);
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
		assert_false(m->taken[at + i]);
		m->taken[at + i] = true;
	}
	m->head[at] = (signed char)order;
}

static void model_free(struct model *m, uint64_t at, unsigned int order)
{
	int err = frame_free(&m->a.pool, hpa(ARENA_BASE + (at << PAGE_SHIFT)), order);

	assert_int_equal(err, m->head[at] == (int)order ? 0 : -EINVAL);
	if (err)
		return;
	m->head[at] = -1;
	memset(&m->taken[at], 0, UINT64_C(1) << order);
}

static void model_compare(struct model *m)
{
	uint64_t free = 0;

	for (uint64_t i = 0; i < m->n; i++)
		free += !m->taken[i];
	assert_int_equal(m->a.pool.free, free);
	assert_sound(&m->a.pool);
}

static void model_init(struct model *m, uint64_t n, bool junk)
{
	arena_init(&m->a, n, junk);
	m->n = n;
	memset(m->head, -1, sizeof(m->head));
	memset(m->taken, 0, sizeof(m->taken));
}

/* Operation number `op` of 3 allocations, then a free of each frame at each of 3 orders. */
static void model_step(struct model *m, unsigned int op)
{
	if (op < 3)
		model_alloc(m, op);
	else
		model_free(m, (op - 3) / 3, (op - 3) % 3);
	model_compare(m);
}

static void every_short_history_of_a_small_pool_is_as_in_the_model(void **state)
{
	(void)state;
	/* Pools of 1 to 6 frames, every sequence of 4 operations, right ones and wrong ones. */
	for (uint64_t n = 1; n <= 6; n++) {
		unsigned int ops = (unsigned int)(3 + 3 * n), depth = 4, total = 1;
		struct model *m = test_malloc(sizeof(*m));

		for (unsigned int i = 0; i < depth; i++)
			total *= ops;
		model_init(m, n, false);
		for (unsigned int history = 0; history < total; history++) {
			unsigned int rest = history;

			for (unsigned int i = 0; i < depth; i++, rest /= ops)
				model_step(m, rest % ops);
			for (uint64_t at = 0; at < n; at++) {
				if (m->head[at] >= 0)
					model_free(m, at, (unsigned int)m->head[at]);
			}
		}
		model_compare(m);
		arena_fini(&m->a);
		test_free(m);
	}
}

static void a_long_random_history_is_as_in_the_model(void **state)
{
	struct model *m = test_malloc(sizeof(*m));
	uint64_t seed = 1;

	(void)state;
	model_init(m, 61, true);
	for (unsigned int i = 0; i < 100000; i++) {
		uint64_t at = rnd(&seed) % m->n;

		if (rnd(&seed) % 2)
			model_alloc(m, rnd(&seed) % 7);
		else if (m->head[at] >= 0 && rnd(&seed) % 16)
			model_free(m, at, (unsigned int)m->head[at]);
		else
			model_free(m, at, rnd(&seed) % 20);
		if (i % 64 == 0)
			model_compare(m);
	}
	model_compare(m);
	arena_fini(&m->a);
	test_free(m);
}

static void after_everything_is_freed_the_pool_is_as_at_first(void **state)
{
	enum {
		BLOCKS = 4096
	};
	static hpa_t block[BLOCKS];
	static unsigned int order[BLOCKS];
	struct arena a;
	uint64_t seed = 7, first[FRAME_ORDERS];

	(void)state;
	arena_init_empty(&a, FRAMES_1G, false);
	/* Holes, so that the initial state is a mixture of orders. */
	assert_int_equal(frame_add(&a.pool, arena_pfn() + 3, 70000), 0);
	assert_int_equal(frame_add(&a.pool, arena_pfn() + 100001, 99999), 0);
	memcpy(first, a.pool.free_blocks, sizeof(first));
	for (unsigned int i = 0; i < BLOCKS; i++)
		block[i] = HPA_NONE;
	for (unsigned int i = 0; i < 100000 + BLOCKS; i++) {
		unsigned int slot = i < 100000 ? rnd(&seed) % BLOCKS : i - 100000;

		if (block[slot].v != HPA_NONE.v) {
			must_free(&a.pool, block[slot], order[slot]);
			block[slot] = HPA_NONE;
		} else if (i < 100000) {
			order[slot] = rnd(&seed) % 4 ? rnd(&seed) % 4 : rnd(&seed) % 12;
			block[slot] = frame_alloc(&a.pool, order[slot]);
		}
		if (i % 4096 == 0)
			assert_sound(&a.pool);
	}
	assert_memory_equal(first, a.pool.free_blocks, sizeof(first));
	assert_int_equal(a.pool.free, a.pool.total);
	assert_sound(&a.pool);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_history_of_a_small_pool_is_as_in_the_model),
		cmocka_unit_test(a_long_random_history_is_as_in_the_model),
		cmocka_unit_test(after_everything_is_freed_the_pool_is_as_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
