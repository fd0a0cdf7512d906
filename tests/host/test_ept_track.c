/* SPDX-License-Identifier: MIT */
/*
 * Dirty tracking of tables in which neighbours have nothing in common: marks change nothing but
 * themselves and what they withhold, and a collection reports what was written and nothing else.
 * Each test's name is the claim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ept/access.h"
#include "ept/range.h"
#include "ept/track.h"
#include "mm/err.h"
#include "mm/table_cache.h"
#include "tests/host/arena.h"

#define F_2M   512u
#define MIXED  F_2M       /* gfn of a table of all sorts */
#define LARGE  (4 * F_2M) /* of a leaf of 2 MiB */
#define WINDOW 100        /* entries in a step */

struct way {
	const struct ept_format *fmt;
	enum ept_track_by by;
};

static struct arena arena;
static struct table_cache tables;
static struct ept ept;
static struct ept_cpu *me;
static struct ept_gather g;
static const struct way *way;

static int alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	(void)ctx;
	return table_alloc(&tables, cpu, table);
}

static void give_back(void *ctx, unsigned int cpu, hpa_t table)
{
	(void)ctx;
	table_free(&tables, cpu, table);
}

static void flush(void *ctx, unsigned int cpu)
{
	(void)ctx;
	(void)cpu;
}

static const struct ept_ops ops = { .table_alloc = alloc, .table_free = give_back, .flush = flush };

static void map(gfn_t gfn, uint64_t frames, unsigned int perms, enum ept_memtype memtype,
		enum ept_kind kind)
{
	assert_int_equal(ept_map(me, gfn, frames, hpa((gfn + (1u << 20)) << PAGE_SHIFT), perms,
				 memtype, kind),
			 0);
}

static void write_to(gfn_t gfn)
{
	hpa_t at;

	assert_int_equal(ept_reach(me, gfn, EPT_W, &at, &g), 0);
}

/* Every eighth page is of the same sort. */
static void map_mixed(gfn_t gfn)
{
	switch (gfn % 8) {
	case 0:
		break;
	case 1:
		map(gfn, 1, EPT_RWX, EPT_WB, EPT_ABSENT);
		break;
	case 2:
		map(gfn, 1, EPT_R, EPT_WB, EPT_PRESENT);
		break;
	case 3:
		map(gfn, 1, EPT_RWX, EPT_WB, EPT_PRESENT);
		write_to(gfn);
		break;
	case 4:
		map(gfn, 1, EPT_R | EPT_W, EPT_UC, EPT_PRESENT);
		break;
	case 5:
		map(gfn, 1, EPT_RWX, EPT_WB, EPT_PRESENT);
		assert_int_equal(ept_poison(me, gfn, &g), 0);
		break;
	case 6:
		map(gfn, 1, EPT_R | EPT_W, EPT_WB, EPT_ABSENT);
		assert_int_equal(ept_discard(me, gfn, 1, &g), 0);
		break;
	default:
		map(gfn, 1, EPT_RWX, EPT_WB, EPT_PRESENT);
		break;
	}
}

static int begin(void **state)
{
	way = *state;
	arena_init(&arena, 1024, true);
	table_cache_init(&tables, &arena.pool);
	assert_int_equal(table_reserve(&tables, 32), 0);
	assert_int_equal(ept_init(&ept, way->fmt, &ops, NULL, &arena.pool, PG_LEVEL_1G), 0);
	me = ept_cpu(&ept, 0);
	ept_gather_init(&g, me);
	for (gfn_t gfn = MIXED; gfn < MIXED + F_2M; gfn++)
		map_mixed(gfn);
	ept_sync(&g);
	assert_int_equal(ept_track_begin(&ept, way->by), 0);
	return 0;
}

static int end(void **state)
{
	gfn_t where;

	(void)state;
	ept_sync(&g);
	assert_null(ept_check(&ept, &where));
	ept_destroy(&ept, 0);
	arena_fini(&arena);
	return 0;
}

static void through(gfn_t from, gfn_t to, bool on)
{
	gfn_t next = from;

	while (next < to) {
		gfn_t before = next;

		assert_int_equal(on ? ept_track_some(me, &next, to, WINDOW, &g)
				    : ept_untrack_some(me, &next, to, WINDOW, &g),
				 0);
		assert_true(next <= before + WINDOW);
	}
}

static struct ept_state seen(gfn_t gfn, bool on)
{
	struct ept_state s = ept_lookup(&ept, gfn);

	if (on && (s.kind == EPT_PRESENT || s.kind == EPT_ABSENT))
		s.tracked = true;
	if (on && s.kind == EPT_PRESENT && way->by == EPT_TRACK_WRITES && !s.dirty)
		s.withheld |= s.perms & EPT_W;
	return s;
}

static void assert_same(const struct ept_state *a, gfn_t gfn)
{
	struct ept_state b = ept_lookup(&ept, gfn);

	assert_int_equal(a->kind, b.kind);
	assert_int_equal(a->level, b.level);
	assert_int_equal(a->frame.v, b.frame.v);
	assert_int_equal(a->perms, b.perms);
	assert_int_equal(a->withheld, b.withheld);
	assert_int_equal(a->memtype, b.memtype);
	assert_int_equal(a->tracked, b.tracked);
	assert_int_equal(a->zero, b.zero);
	assert_int_equal(a->accessed, b.accessed);
	assert_int_equal(a->dirty, b.dirty);
}

static void marks_change_themselves_and_what_they_withhold_and_go_without_a_trace(void **state)
{
	static struct ept_state before[F_2M], marked[F_2M];
	const unsigned int from = 3, to = F_2M - 2;

	(void)state;
	for (unsigned int i = 0; i < F_2M; i++) {
		before[i] = seen(MIXED + i, false);
		marked[i] = seen(MIXED + i, i >= from && i < to);
	}
	through(MIXED + from, MIXED + to, true);
	for (unsigned int i = 0; i < F_2M; i++)
		assert_same(&marked[i], MIXED + i);
	assert_int_equal(g.owed, way->by == EPT_TRACK_WRITES);
	ept_sync(&g);
	through(MIXED + from, MIXED + to, false);
	for (unsigned int i = 0; i < F_2M; i++)
		assert_same(&before[i], MIXED + i);
	assert_false(g.owed);
}

static bool is_reported(const uint64_t *bitmap, gfn_t i)
{
	return bitmap[i / 64] >> i % 64 & 1;
}

static void a_collection_reports_what_was_written_or_discarded_once(void **state)
{
	const gfn_t first = MIXED + 5;
	uint64_t bitmap[8] = { 0 }, n = 0;

	(void)state;
	through(MIXED, MIXED + F_2M, true);
	write_to(MIXED + 7);
	write_to(MIXED + 15);
	write_to(MIXED + 12);
	assert_int_equal(ept_track_collect(me, first, F_2M - 5, bitmap, &g), 3 + 63 + 64);
	assert_true(g.owed);
	for (gfn_t i = 0; i < F_2M - 5; i++) {
		gfn_t gfn = first + i - MIXED;
		bool written = gfn % 8 == 3 || gfn % 8 == 6 || gfn == 7 || gfn == 15 || gfn == 12;

		assert_int_equal(is_reported(bitmap, i), written);
		n += written;
		assert_false(ept_lookup(&ept, first + i).dirty);
	}
	assert_int_equal(n, 3 + 63 + 64);
	/* Before the range: still to be reported. */
	assert_true(ept_lookup(&ept, MIXED + 3).dirty);
	ept_sync(&g);
	/* What was discarded has no bit that could be cleared. */
	assert_int_equal(ept_track_collect(me, first, F_2M - 5, bitmap, &g), 64);
	ept_sync(&g);
	write_to(MIXED + 15);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(ept_track_collect(me, MIXED + 15, 1, bitmap, &g), 1);
	assert_int_equal(bitmap[0], 1);
}

static void of_a_large_leaf_all_pages_of_the_range_are_reported(void **state)
{
	uint64_t bitmap[2] = { 0 };
	struct ept_claim claim;
	gfn_t next = LARGE;

	(void)state;
	map(LARGE, F_2M, EPT_RWX, EPT_WB, EPT_ABSENT);
	assert_int_equal(ept_track_some(me, &next, LARGE + F_2M, 1, &g), 0);
	assert_int_equal(next, LARGE + F_2M);
	assert_int_equal(ept_fill(me, LARGE, PG_LEVEL_2M, &claim), 0);
	(void)ept_publish(me, &claim);
	assert_int_equal(ept_track_collect(me, LARGE, F_2M, bitmap, &g), 0);
	write_to(LARGE + 1);
	if (way->by == EPT_TRACK_DIRTY) {
		assert_int_equal(ept_track_collect(me, LARGE + 7, 66, bitmap, &g), 66);
		assert_int_equal(bitmap[0], UINT64_MAX);
		assert_int_equal(bitmap[1], 3);
	} else {
		/* The first write has split it, so that the page can be told. */
		assert_int_equal(ept_track_collect(me, LARGE, 66, bitmap, &g), 1);
		assert_int_equal(bitmap[0], 2);
	}
}

static void what_is_being_filled_stops_a_step_and_not_for_longer(void **state)
{
	const gfn_t filled = MIXED + 9;
	struct ept_claim claim;
	gfn_t next = MIXED;

	(void)state;
	assert_int_equal(ept_fill(me, filled, PG_LEVEL_4K, &claim), 0);
	assert_int_equal(ept_track_some(me, &next, MIXED + F_2M, WINDOW, &g), 0);
	assert_int_equal(next, filled);
	assert_true(ept_lookup(&ept, filled - 1).kind == EPT_NONE);
	assert_true(ept_lookup(&ept, filled - 2).tracked);
	assert_false(ept_lookup(&ept, filled + 1).tracked);
	(void)ept_publish(me, &claim);
	through(next, MIXED + F_2M, true);
	assert_true(ept_lookup(&ept, filled).tracked);
}

static const struct way ways[] = {
	{ &ept_format_intel, EPT_TRACK_DIRTY },
	{ &ept_format_intel, EPT_TRACK_WRITES },
	{ &ept_format_amd, EPT_TRACK_DIRTY },
	{ &ept_format_amd, EPT_TRACK_WRITES },
};

#define ONE(name, way, i)                                                                          \
	{                                                                                          \
#name "_" way, name, begin, end, (void *)&ways[i]                                  \
	}
#define CASE(name)                                                                                 \
	ONE(name, "by_dirty_bits_on_EPT", 0), ONE(name, "by_faults_on_EPT", 1),                    \
		ONE(name, "by_dirty_bits_on_NPT", 2), ONE(name, "by_faults_on_NPT", 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(marks_change_themselves_and_what_they_withhold_and_go_without_a_trace),
		CASE(a_collection_reports_what_was_written_or_discarded_once),
		CASE(of_a_large_leaf_all_pages_of_the_range_are_reported),
		CASE(what_is_being_filled_stops_a_step_and_not_for_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
