/* SPDX-License-Identifier: MIT */
/*
 * Frames and table pages under threads that play CPUs. A thread must not use cmocka's asserts, so
 * the workers count what goes wrong. A ticket lock crawls where there are more threads than idle
 * cores (the next in line may not be running), hence two threads where each step takes a lock, and
 * a limit of time besides the number of rounds.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "mm/table_cache.h"
#include "tests/host/arena.h"
#include "tests/host/random.h"

enum {
	CPUS = 4,
	LOCKERS = 2,
	PROMISE = 24,
	ROUNDS = 20000,
	SLOTS = 32,
	SECONDS = 8
};

static struct arena arena;
static struct table_cache cache;
static _Atomic int tokens;            /* pages that may still be taken within the promise */
static _Atomic uint64_t slots[SLOTS]; /* pages in use, 0: none; any CPU may free them */
static _Atomic int failures;
static time_t deadline;

static void start_clock(void)
{
	deadline = time(NULL) + SECONDS;
}

static bool take_token(void)
{
	int have = atomic_load(&tokens);

	while (have > 0 && !atomic_compare_exchange_weak(&tokens, &have, have - 1))
		;
	return have > 0;
}

/* Plain accesses: if two CPUs ever had the page at once, TSan would say so. */
static void use_page(hpa_t page)
{
	uint64_t *word = frame_virt(&arena.pool, page);

	for (unsigned int i = 0; i < PAGE_SIZE / 8; i += 37)
		word[i] = page.v;
}

static void give(unsigned int cpu, uint64_t page)
{
	table_free(&cache, cpu, hpa(page));
	atomic_fetch_add(&tokens, 1);
}

static void *tables_worker(void *arg)
{
	unsigned int cpu = (unsigned int)(uintptr_t)arg;
	uint64_t seed = cpu + 1;

	for (unsigned int i = 0; i < ROUNDS && time(NULL) < deadline; i++) {
		uint64_t old;
		hpa_t page = hpa(0);

		if (rnd(&seed) % 2 && take_token()) {
			if (table_alloc(&cache, cpu, &page))
				atomic_fetch_add(&failures, 1);
			else
				use_page(page);
		}
		old = atomic_exchange(&slots[rnd(&seed) % SLOTS], page.v);
		if (old)
			give(cpu, old);
	}
	return NULL;
}

/* Promises come and go meanwhile; the pool has just enough for them. */
static void *promises_worker(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS / 20 && time(NULL) < deadline; i++) {
		if (table_reserve(&cache, 10))
			atomic_fetch_add(&failures, 1);
		table_unreserve(&cache, 10);
	}
	return arg;
}

static void promises_hold_while_cpus_race(void **state)
{
	/* Reserve and unreserve at once may keep what each CPU has in its magazine and in its
	 * hands.
	 */
	enum {
		EXTRA = 10 + CPUS * (TABLE_MAGAZINE + 1)
	};
	pthread_t thread[CPUS + 1];

	(void)state;
	arena_init(&arena, PROMISE + (MAX_CPUS - 1) * TABLE_MAGAZINE + EXTRA, false);
	table_cache_init(&cache, &arena.pool);
	assert_int_equal(table_reserve(&cache, PROMISE), 0);
	atomic_store(&tokens, PROMISE);
	start_clock();
	for (uintptr_t i = 0; i < CPUS; i++)
		pthread_create(&thread[i], NULL, tables_worker, (void *)i);
	pthread_create(&thread[CPUS], NULL, promises_worker, NULL);
	for (unsigned int i = 0; i <= CPUS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&failures), 0);
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (slots[i])
			give(0, slots[i]);
	}
	assert_int_equal(cache.in_use, 0);
	assert_true(cache.peak <= PROMISE && cache.peak > PROMISE / 2);
	table_unreserve(&cache, PROMISE);
	table_cache_drain(&cache);
	assert_int_equal(arena.pool.free, arena.pool.total);
	assert_null(frame_pool_check(&arena.pool));
	arena_fini(&arena);
}

static void *frames_worker(void *arg)
{
	uint64_t seed = (uintptr_t)arg + 1;

	for (unsigned int i = 0; i < ROUNDS && time(NULL) < deadline; i++) {
		unsigned int order = rnd(&seed) % 4;
		hpa_t block = frame_alloc(&arena.pool, order);

		if (block.v == HPA_NONE.v)
			continue;
		memset(frame_virt(&arena.pool, block), (int)(uintptr_t)arg, 64);
		if (i % 1000 == 0 && frame_pool_check(&arena.pool))
			atomic_fetch_add(&failures, 1);
		if (frame_free(&arena.pool, block, order))
			atomic_fetch_add(&failures, 1);
		/* Perhaps it is somebody else's by now; and if not, then it is free. */
	}
	return NULL;
}

static void the_pool_is_sound_at_every_moment_while_cpus_race(void **state)
{
	pthread_t thread[LOCKERS];

	(void)state;
	arena_init(&arena, 30, true);
	start_clock();
	for (uintptr_t i = 0; i < LOCKERS; i++)
		pthread_create(&thread[i], NULL, frames_worker, (void *)i);
	for (unsigned int i = 0; i < LOCKERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&failures), 0);
	assert_int_equal(arena.pool.free, 30);
	assert_null(frame_pool_check(&arena.pool));
	arena_fini(&arena);
}

enum {
	BLOCK_ORDER = FRAME_ORDER_2M,
	BLOCKS = 100
};

static hpa_t block[BLOCKS];
static _Atomic int freed;
static pthread_barrier_t together;

static void *free_worker(void *arg)
{
	for (unsigned int i = 0; i < BLOCKS; i++) {
		pthread_barrier_wait(&together);
		if (!frame_free(&arena.pool, block[i], BLOCK_ORDER))
			atomic_fetch_add(&freed, 1);
	}
	return arg;
}

/* The junk fill leaves a long time between the beginning and the end of a free. */
static void of_two_frees_at_once_one_is_refused(void **state)
{
	pthread_t thread[2];

	(void)state;
	arena_init(&arena, (uint64_t)BLOCKS << BLOCK_ORDER, true);
	for (unsigned int i = 0; i < BLOCKS; i++)
		block[i] = frame_alloc(&arena.pool, BLOCK_ORDER);
	assert_int_equal(arena.pool.free, 0);
	pthread_barrier_init(&together, NULL, 2);
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, free_worker, NULL);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&together);
	assert_int_equal(freed, BLOCKS);
	assert_int_equal(arena.pool.free, arena.pool.total);
	assert_null(frame_pool_check(&arena.pool));
	arena_fini(&arena);
}

static struct spinlock racing;
static uint64_t raced;

static void *lock_worker(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS && time(NULL) < deadline; i++) {
		spin_lock(&racing);
		raced++;
		spin_unlock(&racing);
		atomic_fetch_add((_Atomic uint64_t *)arg, 1);
	}
	return NULL;
}

static void the_lock_excludes_and_its_tickets_wrap(void **state)
{
	pthread_t thread[LOCKERS];
	_Atomic uint64_t expected = 0;

	(void)state;
	/* Soon there are no more tickets of 16 bits. */
	atomic_store(&racing.next, UINT16_MAX - 9);
	atomic_store(&racing.owner, UINT16_MAX - 9);
	start_clock();
	for (unsigned int i = 0; i < LOCKERS; i++)
		pthread_create(&thread[i], NULL, lock_worker, &expected);
	for (unsigned int i = 0; i < LOCKERS; i++)
		pthread_join(thread[i], NULL);
	assert_true(expected > 10);
	assert_int_equal(raced, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promises_hold_while_cpus_race),
		cmocka_unit_test(the_pool_is_sound_at_every_moment_while_cpus_race),
		cmocka_unit_test(of_two_frees_at_once_one_is_refused),
		cmocka_unit_test(the_lock_excludes_and_its_tickets_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
