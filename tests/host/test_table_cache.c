/* SPDX-License-Identifier: MIT */
/* The cache of table pages: promises are kept wherever the pages lie, and everything comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "mm/err.h"
#include "mm/table_cache.h"
#include "tests/host/arena.h"
#include "tests/host/random.h"

/* Pages that other CPUs' magazines can hold: what a promise costs on top. */
#define SLACK ((MAX_CPUS - 1) * TABLE_MAGAZINE)

struct world {
	struct arena a;
	struct table_cache cache;
};

static struct world w;

static void world_init(uint64_t frames, bool junk)
{
	arena_init(&w.a, frames, junk);
	table_cache_init(&w.cache, &w.a.pool);
}

static void world_fini(void)
{
	const char *wrong = frame_pool_check(&w.a.pool);

	if (wrong)
		fail_msg("%s", wrong);
	arena_fini(&w.a);
}

static hpa_t must_alloc(unsigned int cpu)
{
	hpa_t page = HPA_NONE;

	assert_int_equal(table_alloc(&w.cache, cpu, &page), 0);
	assert_true(page.v >= ARENA_BASE && IS_ALIGNED(page.v, PAGE_SIZE));
	return page;
}

static bool is_filled(hpa_t page, unsigned char with)
{
	const unsigned char *p = frame_virt(&w.a.pool, page);

	for (unsigned int i = 0; i < PAGE_SIZE; i++) {
		if (p[i] != with)
			return false;
	}
	return true;
}

static void a_reserve_that_does_not_fit_changes_nothing(void **state)
{
	static const uint64_t n[] = { 45, 100, 101, 1000, UINT64_MAX - SLACK, UINT64_MAX };

	(void)state;
	world_init(100, true);
	for (unsigned int i = 0; i < ARRAY_LEN(n); i++) {
		assert_int_equal(table_reserve(&w.cache, n[i]), -ENOMEM);
		assert_int_equal(w.cache.promised, 0);
		assert_int_equal(w.cache.spare, 0);
		assert_int_equal(w.a.pool.free, 100);
		assert_int_equal(w.a.pool.low_water, 100);
	}
	assert_int_equal(table_reserve(&w.cache, 44), 0);
	assert_int_equal(w.cache.promised, 44);
	world_fini();
}

static void a_failed_reserve_leaves_earlier_promises_intact(void **state)
{
	(void)state;
	world_init(100, true);
	assert_int_equal(table_reserve(&w.cache, 20), 0);
	assert_int_equal(table_reserve(&w.cache, 25), -ENOMEM);
	assert_int_equal(w.cache.promised, 20);
	/* Everything else goes to somebody else. */
	while (frame_alloc(&w.a.pool, 0).v != HPA_NONE.v)
		;
	for (unsigned int i = 0; i < 20; i++)
		must_alloc(i % MAX_CPUS);
	world_fini();
}

static void full_magazines_elsewhere_do_not_break_the_promise(void **state)
{
	enum {
		PROMISE = 17
	};
	hpa_t page[TABLE_MAGAZINE];

	(void)state;
	for (unsigned int me = 0; me < MAX_CPUS; me++) {
		world_init(PROMISE + SLACK, true);
		assert_int_equal(table_reserve(&w.cache, PROMISE), 0);
		assert_int_equal(w.a.pool.free, 0);
		for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++) {
			for (unsigned int i = 0; cpu != me && i < TABLE_MAGAZINE; i++)
				page[i] = must_alloc(me);
			for (unsigned int i = 0; cpu != me && i < TABLE_MAGAZINE; i++)
				table_free(&w.cache, cpu, page[i]);
			assert_int_equal(w.cache.cpu[cpu].n, cpu == me ? 0 : TABLE_MAGAZINE);
		}
		for (unsigned int i = 0; i < PROMISE; i++)
			must_alloc(me);
		world_fini();
	}
}

/* --- every distribution of pages over three CPUs ------------------------------------------- */

enum {
	FEW_CPUS = 3,
	FEW_PAGES = 9,
	FEW_FRAMES = FEW_PAGES + SLACK
};
enum {
	FILLS = TABLE_MAGAZINE + 1,
	STATES = FILLS * FILLS * FILLS * (FEW_PAGES + 1)
};

struct snapshot {
	struct table_cache cache;
	struct frame frames[FEW_FRAMES];
	hpa_t used[FEW_PAGES];
};

struct search {
	struct snapshot found[STATES];
	unsigned int nfound;
	bool seen[STATES];
	hpa_t used[FEW_PAGES]; /* of the state that the world is in */
};

static unsigned int state_number(void)
{
	unsigned int n = (unsigned int)w.cache.in_use;

	for (unsigned int cpu = 0; cpu < FEW_CPUS; cpu++)
		n = n * FILLS + w.cache.cpu[cpu].n;
	return n;
}

static void remember(struct search *s)
{
	struct snapshot *to = &s->found[s->nfound];

	if (s->seen[state_number()])
		return;
	s->seen[state_number()] = true;
	s->nfound++;
	memcpy(&to->cache, &w.cache, sizeof(to->cache));
	memcpy(to->frames, w.a.frames, sizeof(to->frames));
	memcpy(to->used, s->used, sizeof(to->used));
}

static void go_back(struct search *s, unsigned int i)
{
	memcpy(&w.cache, &s->found[i].cache, sizeof(w.cache));
	memcpy(w.a.frames, s->found[i].frames, sizeof(s->found[i].frames));
	memcpy(s->used, s->found[i].used, sizeof(s->used));
}

static void try_all_steps(struct search *s, unsigned int i)
{
	for (unsigned int cpu = 0; cpu < FEW_CPUS; cpu++) {
		go_back(s, i);
		if (w.cache.in_use < FEW_PAGES) {
			uint64_t at = w.cache.in_use;

			s->used[at] = must_alloc(cpu);
			remember(s);
		}
		go_back(s, i);
		if (w.cache.in_use > 0) {
			table_free(&w.cache, cpu, s->used[w.cache.in_use - 1]);
			remember(s);
		}
	}
}

static void no_distribution_over_magazines_breaks_the_promise(void **state)
{
	static struct search search;
	struct search *s = &search;

	(void)state;
	world_init(FEW_FRAMES, false);
	assert_int_equal(table_reserve(&w.cache, FEW_PAGES), 0);
	/* The other CPUs sit on all that they can hold; so the promise is tight for these three. */
	for (unsigned int cpu = FEW_CPUS; cpu < MAX_CPUS; cpu++) {
		for (unsigned int i = 0; i < TABLE_MAGAZINE; i++)
			table_free(&w.cache, cpu, must_alloc(0));
	}
	remember(s);
	for (unsigned int i = 0; i < s->nfound; i++)
		try_all_steps(s, i);
	/* It got about: thousands of states, the extremes among them. */
	assert_true(s->nfound > 1000);
	assert_true(s->seen[STATES / (FEW_PAGES + 1) - 1]);
	go_back(s, 0);
	world_fini();
}

static void random_streams_within_the_promise_never_fail(void **state)
{
	enum {
		PROMISE = 40
	};
	hpa_t page[PROMISE];
	unsigned int used = 0;
	uint64_t seed = 11;

	(void)state;
	world_init(PROMISE + SLACK, false);
	assert_int_equal(table_reserve(&w.cache, PROMISE), 0);
	for (unsigned int i = 0; i < 200000; i++) {
		/* Some CPUs mostly take and some mostly give, and the roles change. */
		unsigned int cpu = rnd(&seed) % MAX_CPUS;
		bool take = rnd(&seed) % 8 ? (cpu ^ i >> 10) & 1 : rnd(&seed) & 1;

		if (take && used < PROMISE) {
			page[used++] = must_alloc(cpu);
		} else if (used > 0) {
			unsigned int at = rnd(&seed) % used;

			table_free(&w.cache, cpu, page[at]);
			page[at] = page[--used];
		}
		assert_int_equal(w.cache.in_use, used);
	}
	world_fini();
}

static void a_freed_page_is_junk_where_the_pool_says_so(void **state)
{
	hpa_t page;

	(void)state;
	world_init(256, true);
	assert_int_equal(table_reserve(&w.cache, 4), 0);
	page = must_alloc(0);
	table_free(&w.cache, 0, page);
	assert_true(is_filled(page, FRAME_JUNK));
	table_unreserve(&w.cache, 4);
	table_cache_drain(&w.cache);
	assert_true(is_filled(page, FRAME_JUNK));
	world_fini();
}

static void a_page_has_a_clean_descriptor(void **state)
{
	(void)state;
	world_init(256, true);
	assert_int_equal(table_reserve(&w.cache, 4), 0);
	for (unsigned int i = 0; i < 100; i++) {
		hpa_t page = must_alloc(i % 3);
		struct frame *f = frame_of(&w.a.pool, page);

		assert_int_equal(atomic_load(&f->owner), 0);
		assert_int_equal(atomic_load(&f->refs), 0);
		atomic_store(&f->owner, UINT64_MAX);
		atomic_store(&f->refs, UINT32_MAX);
		table_free(&w.cache, i % 2, page);
	}
	world_fini();
}

static void in_use_and_peak_are_exact(void **state)
{
	hpa_t page[5];

	(void)state;
	world_init(256, true);
	assert_int_equal(table_reserve(&w.cache, 10), 0);
	assert_int_equal(w.cache.in_use, 0);
	assert_int_equal(w.cache.peak, 0);
	for (unsigned int i = 0; i < 5; i++) {
		page[i] = must_alloc(i);
		assert_int_equal(w.cache.in_use, i + 1);
		assert_int_equal(w.cache.peak, i + 1);
	}
	for (unsigned int i = 0; i < 3; i++)
		table_free(&w.cache, 7, page[i]);
	assert_int_equal(w.cache.in_use, 2);
	assert_int_equal(w.cache.peak, 5);
	table_cache_mark(&w.cache);
	assert_int_equal(w.cache.peak, 2);
	must_alloc(0);
	assert_int_equal(w.cache.peak, 3);
	world_fini();
}

static void without_a_promise_pages_come_from_the_pool(void **state)
{
	hpa_t page[64], none = hpa(1);

	(void)state;
	world_init(64, true);
	for (unsigned int i = 0; i < 64; i++)
		page[i] = must_alloc(0);
	assert_int_equal(table_alloc(&w.cache, 0, &none), -ENOMEM);
	assert_int_equal(table_alloc(&w.cache, 1, &none), -ENOMEM);
	assert_int_equal(w.cache.in_use, 64);
	for (unsigned int i = 0; i < 64; i++)
		table_free(&w.cache, 0, page[i]);
	/* Nothing is promised, so at most a magazine's worth stays. */
	assert_true(w.a.pool.free >= 64 - TABLE_MAGAZINE);
	table_cache_drain(&w.cache);
	assert_int_equal(w.a.pool.free, 64);
	world_fini();
}

static void drain_gives_everything_back(void **state)
{
	uint64_t seed = 5;
	hpa_t page[100];
	unsigned int used = 0;

	(void)state;
	world_init(1024, true);
	assert_int_equal(table_reserve(&w.cache, 50), 0);
	for (unsigned int i = 0; i < 20000; i++) {
		if (used < 100 && rnd(&seed) % 2)
			page[used++] = must_alloc(rnd(&seed) % MAX_CPUS);
		else if (used > 0)
			table_free(&w.cache, rnd(&seed) % MAX_CPUS, page[--used]);
	}
	while (used > 0)
		table_free(&w.cache, rnd(&seed) % MAX_CPUS, page[--used]);
	table_cache_drain(&w.cache);
	/* What backs the promise stays, and not a page more. */
	assert_int_equal(w.cache.spare, 50 + SLACK);
	assert_int_equal(w.a.pool.free, 1024 - 50 - SLACK);
	table_unreserve(&w.cache, 50);
	assert_int_equal(w.cache.spare, 0);
	assert_int_equal(w.a.pool.free, 1024);
	assert_int_equal(frame_count_free(&w.a.pool, 10), 1);
	world_fini();
}

static void little_more_than_the_promise_is_kept(void **state)
{
	uint64_t seed = 6;
	static hpa_t page[900];
	unsigned int used = 0;

	(void)state;
	world_init(1024, false);
	assert_int_equal(table_reserve(&w.cache, 10), 0);
	for (unsigned int i = 0; i < 900; i++)
		page[used++] = must_alloc(rnd(&seed) % MAX_CPUS);
	while (used > 0)
		table_free(&w.cache, rnd(&seed) % MAX_CPUS, page[--used]);
	assert_true(w.a.pool.free >= 1024 - 10 - SLACK - MAX_CPUS * TABLE_MAGAZINE);
	world_fini();
}

static void pages_in_use_come_home_after_their_promise_is_gone(void **state)
{
	hpa_t page[30];

	(void)state;
	world_init(256, true);
	assert_int_equal(table_reserve(&w.cache, 30), 0);
	for (unsigned int i = 0; i < 30; i++)
		page[i] = must_alloc(i % MAX_CPUS);
	table_unreserve(&w.cache, 30);
	for (unsigned int i = 0; i < 30; i++)
		table_free(&w.cache, 0, page[i]);
	table_cache_drain(&w.cache);
	assert_int_equal(w.cache.in_use, 0);
	assert_int_equal(w.a.pool.free, 256);
	world_fini();
}

static void promises_add_up_and_are_taken_back_one_by_one(void **state)
{
	hpa_t page[30];

	(void)state;
	world_init(30 + SLACK, true);
	assert_int_equal(table_reserve(&w.cache, 10), 0);
	assert_int_equal(table_reserve(&w.cache, 20), 0);
	assert_int_equal(table_reserve(&w.cache, 1), -ENOMEM);
	for (unsigned int i = 0; i < 30; i++)
		page[i] = must_alloc(0);
	for (unsigned int i = 0; i < 30; i++)
		table_free(&w.cache, i % MAX_CPUS, page[i]);
	table_unreserve(&w.cache, 20);
	while (frame_alloc(&w.a.pool, 0).v != HPA_NONE.v)
		;
	for (unsigned int i = 0; i < 10; i++)
		must_alloc(MAX_CPUS - 1);
	/* More than was promised is not taken back. */
	table_unreserve(&w.cache, 1000);
	assert_int_equal(w.cache.promised, 0);
	world_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reserve_that_does_not_fit_changes_nothing),
		cmocka_unit_test(a_failed_reserve_leaves_earlier_promises_intact),
		cmocka_unit_test(full_magazines_elsewhere_do_not_break_the_promise),
		cmocka_unit_test(no_distribution_over_magazines_breaks_the_promise),
		cmocka_unit_test(random_streams_within_the_promise_never_fail),
		cmocka_unit_test(a_freed_page_is_junk_where_the_pool_says_so),
		cmocka_unit_test(a_page_has_a_clean_descriptor),
		cmocka_unit_test(in_use_and_peak_are_exact),
		cmocka_unit_test(without_a_promise_pages_come_from_the_pool),
		cmocka_unit_test(drain_gives_everything_back),
		cmocka_unit_test(little_more_than_the_promise_is_kept),
		cmocka_unit_test(pages_in_use_come_home_after_their_promise_is_gone),
		cmocka_unit_test(promises_add_up_and_are_taken_back_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
