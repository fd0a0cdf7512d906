/* SPDX-License-Identifier: MIT */
/*
 * Four CPUs at once on the real geometry, under TSan: arrivals, requests, splits, collapses,
 * lookups, and hardware walks that remember what they saw until the flush.
 *
 * What a page holds is a plain variable: written by who fills it, read by all who find the page
 * present. So a page that shows before its contents, or that is filled twice, is a data race. Where
 * all is done at once, odd pages hold their contents from the beginning, and arrive in place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/model/crowd.h"
#include "tests/host/model/toy.h"

#define F_2M      512u
#define F_1G      (512u * 512u)
#define SMALL     32u /* of the 512 pieces of 2 MiB so many arrive in single pages */
#define ROUNDS    400u
#define TOY_PAGES 64u

static struct crowd crowd;
static uint32_t contents[F_1G];
static uint8_t known[CROWD_CPUS][F_1G];   /* pages that this CPU has found present */
static uint8_t written[CROWD_CPUS][F_1G]; /* pages that its hardware has written to */
static _Atomic unsigned int won[2];

static uint32_t content_of(gfn_t gfn)
{
	return (uint32_t)gfn * 2654435761u + 1;
}

static int begin(void **state)
{
	(void)state;
	crowd_init(&crowd, &ept_format_intel, CROWD_TABLES, 7);
	memset(contents, 0, sizeof(contents));
	memset(known, 0, sizeof(known));
	memset(written, 0, sizeof(written));
	return ept_map(ept_cpu(&crowd.ept, 0), 0, F_1G, hpa(CROWD_BACKING), EPT_RWX, EPT_WB,
		       EPT_ABSENT);
}

static int end(void **state)
{
	(void)state;
	crowd_fini(&crowd);
	return 0;
}

static void run(void (*work)(struct crowd_cpu *))
{
	const char *fault = crowd_run(&crowd, work);

	if (fault)
		print_error("%s\n", fault);
	assert_null(fault);
}

static struct ept_stats stats(void)
{
	struct ept_stats s;

	ept_stats_sum(&crowd.ept, &s);
	return s;
}

static void verify(void)
{
	gfn_t where;
	const char *wrong = ept_check(&crowd.ept, &where);

	if (wrong)
		print_error("at %lu: %s\n", (long)where, wrong);
	assert_null(wrong);
}

/* --- what a CPU does --- */

/* The page is here: so are its contents, and it never goes away again. */
static void see(struct crowd_cpu *cpu, gfn_t gfn)
{
	if (contents[gfn] != content_of(gfn))
		crowd_fail(cpu, "page %lu shows, but holds %x", (long)gfn, contents[gfn]);
	known[cpu->id][gfn] = 1;
}

static void collapse(struct crowd_cpu *cpu, gfn_t gfn, enum pg_level level)
{
	int r = ept_collapse(cpu->me, gfn, level, &cpu->gather);

	if (r == EPT_LOST || r == EPT_MIXED || r == EPT_SCATTERED || r == EPT_INVALID)
		crowd_fail(cpu, "collapse at %lu returned %d", (long)gfn, r);
}

static void arrive(struct crowd_cpu *cpu, gfn_t gfn, enum pg_level level)
{
	struct ept_claim claim;
	bool there = level == PG_LEVEL_4K && gfn & 1;
	int r = there ? ept_arrive_in_place(cpu->me, gfn) : ept_fill(cpu->me, gfn, level, &claim);

	if (r == EPT_HERE)
		see(cpu, gfn);
	if (there && r >= 0) {
		see(cpu, gfn);
		if (r)
			collapse(cpu, gfn, PG_LEVEL_2M);
		return;
	}
	if (r == EPT_HERE || r == EPT_BUSY || r == EPT_SMALLER)
		return;
	if (r) {
		crowd_fail(cpu, "fill of %lu returned %d", (long)gfn, r);
		return;
	}
	for (uint64_t i = 0; i < level_frames(level); i++) {
		if (contents[gfn + i])
			crowd_fail(cpu, "page %lu was filled twice", (long)(gfn + i));
		contents[gfn + i] = content_of(gfn + i);
	}
	if (ept_publish(cpu->me, &claim))
		collapse(cpu, gfn, (enum pg_level)(level + 1));
}

static void look(struct crowd_cpu *cpu, gfn_t gfn)
{
	struct ept_state s = ept_lookup(&crowd.ept, gfn);
	uint64_t offset = gfn & (fmt_frames(crowd.ept.fmt, s.level) - 1);

	if (s.kind == EPT_PRESENT) {
		see(cpu, gfn);
		if (s.frame.v + (offset << PAGE_SHIFT) != CROWD_BACKING + (gfn << PAGE_SHIFT))
			crowd_fail(cpu, "page %lu at a wrong frame", (long)gfn);
	} else if (known[cpu->id][gfn]) {
		crowd_fail(cpu, "page %lu was here and is %s", (long)gfn, entry_kind_name(s.kind));
	}
}

static void walk(struct crowd_cpu *cpu, gfn_t gfn, bool write)
{
	unsigned int ways = tlb_ways(&cpu->tlb, crowd.ept.fmt, gfn, write);
	unsigned int way = (unsigned int)crowd_random(cpu, ways);
	struct tlb_access a;
	enum tlb_outcome o = tlb_use(&cpu->tlb, &crowd.ept, gfn, write, way, &a);

	if (o == TLB_HIT) {
		see(cpu, gfn);
		written[cpu->id][gfn] |= write;
		if (a.frame != CROWD_BACKING + (gfn << PAGE_SHIFT))
			crowd_fail(cpu, "hardware found page %lu at a wrong frame", (long)gfn);
	} else if (known[cpu->id][gfn] || o == TLB_FAULT) {
		crowd_fail(cpu, "hardware lost page %lu", (long)gfn);
	}
}

static void ask(struct crowd_cpu *cpu, gfn_t gfn)
{
	int r = ept_request(cpu->me, gfn);

	if (r && r != EPT_ASKED && r != EPT_BUSY && r != EPT_HERE)
		crowd_fail(cpu, "request of %lu returned %d", (long)gfn, r);
}

static void split(struct crowd_cpu *cpu, gfn_t gfn)
{
	int r = ept_split(cpu->me, gfn, PG_LEVEL_4K, EPT_WHY_ASKED, &cpu->gather);

	if (r && r != EPT_BUSY && r != EPT_NO_TABLE && r != EPT_UNMAPPED)
		crowd_fail(cpu, "split of %lu returned %d", (long)gfn, r);
}

/* --- all at once --- */

static void bustle(struct crowd_cpu *cpu)
{
	/* Each page is tried by two CPUs at the least, in different orders. */
	const uint32_t stride = 2 * (uint32_t)crowd_random(cpu, 1 << 15) + 1;
	struct ept_collapse_result result;

	for (uint32_t i = 0; i < SMALL * F_2M; i++) {
		gfn_t gfn = (i * stride + cpu->id * 4097u) % (SMALL * F_2M);
		gfn_t other = crowd_random(cpu, 2) ? gfn ^ 1 : crowd_random(cpu, SMALL * F_2M);

		switch (crowd_random(cpu, 16)) {
		case 0:
			ask(cpu, other);
			break;
		case 1 ... 3:
			look(cpu, other);
			break;
		case 4 ... 7:
			walk(cpu, other, crowd_random(cpu, 2));
			break;
		case 8:
			if (crowd_random(cpu, 8) == 0)
				split(cpu, other);
			break;
		case 9:
			collapse(cpu, other, PG_LEVEL_2M);
			break;
		case 10:
			if (cpu->id && crowd_random(cpu, 64) == 0)
				ept_sync(&cpu->gather);
			break;
		default:
			break;
		}
		crowd_pause(cpu);
		arrive(cpu, gfn, PG_LEVEL_4K);
		crowd_pause(cpu);
		if (i < 512 - SMALL)
			arrive(cpu, (SMALL + i) * (gfn_t)F_2M, PG_LEVEL_2M);
		crowd_pause(cpu);
	}
	ept_collapse_range(cpu->me, 0, F_1G, &cpu->gather, &result);
}

static void dirty_bits_are_all_there(gfn_t pages)
{
	for (gfn_t gfn = 0; gfn < pages; gfn++)
		for (unsigned int i = 0; i < CROWD_CPUS; i++)
			if (written[i][gfn])
				assert_true(ept_lookup(&crowd.ept, gfn).dirty);
}

static void all_at_once_each_page_arrives_once_and_all_collapses_to_1g(void **state)
{
	struct ept_collapse_result result;
	struct ept_gather g;
	struct ept_stats s;

	(void)state;
	for (gfn_t gfn = 1; gfn < SMALL * F_2M; gfn += 2)
		contents[gfn] = content_of(gfn);
	run(bustle);
	verify();
	dirty_bits_are_all_there(F_1G);
	for (gfn_t gfn = 0; gfn < F_1G; gfn++)
		assert_int_equal(contents[gfn], content_of(gfn));
	s = stats();
	assert_int_equal(s.arrivals, SMALL * F_2M + 512 - SMALL);
	assert_true(s.duplicates > 1000);
	assert_true(s.splits_present > 10);
	ept_gather_init(&g, ept_cpu(&crowd.ept, 0));
	ept_collapse_range(ept_cpu(&crowd.ept, 0), 0, F_1G, &g, &result);
	ept_sync(&g);
	verify();
	s = stats();
	assert_int_equal(s.pages_1g, 1);
	assert_int_equal(s.pages_2m, 0);
	assert_int_equal(s.pages_4k, 0);
	assert_int_equal(s.tables, 2);
	assert_int_equal(s.tables_freed, s.collapses);
}

/* No sync but those of full gathers: a CPU may wait for a flush in the middle of a collapse, while
 * another frees the tables above. On the toy geometry, where all levels collapse all the time. */
static void split_and_collapse(struct crowd_cpu *cpu)
{
	for (unsigned int i = 0; i < 30000; i++) {
		gfn_t gfn = crowd_random(cpu, TOY_PAGES);

		switch (crowd_random(cpu, 8)) {
		case 0 ... 2:
			collapse(cpu, gfn, PG_LEVEL_1G);
			break;
		case 3:
			collapse(cpu, gfn, PG_LEVEL_2M);
			break;
		case 4:
			walk(cpu, gfn, crowd_random(cpu, 2));
			break;
		case 5:
			look(cpu, gfn);
			break;
		default:
			split(cpu, gfn);
			break;
		}
		crowd_pause(cpu);
	}
}

static int begin_toy(void **state)
{
	(void)state;
	crowd_init(&crowd, &ept_format_toy, CROWD_TABLES, 7);
	memset(known, 1, sizeof(known));
	memset(written, 0, sizeof(written));
	for (gfn_t gfn = 0; gfn < TOY_PAGES; gfn++)
		contents[gfn] = content_of(gfn);
	return ept_map(ept_cpu(&crowd.ept, 0), 0, TOY_PAGES, hpa(CROWD_BACKING), EPT_RWX, EPT_WB,
		       EPT_PRESENT);
}

static void splits_and_collapses_of_present_leaves_lose_no_page_and_no_table(void **state)
{
	(void)state;
	run(split_and_collapse);
	verify();
	dirty_bits_are_all_there(TOY_PAGES);
	assert_true(stats().collapses > 16 * EPT_GATHER_MAX);
	assert_int_equal(stats().collapses, stats().tables_freed);
}

/* --- rounds --- */

/* What CPU 0 finds after a round of unmap_part(), and how it makes things ready for the next. */
static void check_part(struct crowd_cpu *cpu, gfn_t from, gfn_t to)
{
	for (gfn_t gfn = 0; gfn < TOY_PAGES; gfn++) {
		enum ept_kind kind = ept_lookup(&crowd.ept, gfn).kind;

		if (kind != (gfn >= from && gfn < to ? EPT_NONE : EPT_PRESENT))
			crowd_fail(cpu, "unmapped [%lu, %lu), but page %lu is %s", (long)from,
				   (long)to, (long)gfn, entry_kind_name(kind));
	}
	if (ept_unmap(cpu->me, 0, TOY_PAGES, &cpu->gather))
		crowd_fail(cpu, "unmap failed");
	ept_sync(&cpu->gather);
	if (ept_map(cpu->me, 0, TOY_PAGES, hpa(CROWD_BACKING), EPT_RWX, EPT_WB, EPT_PRESENT))
		crowd_fail(cpu, "map failed");
}

static void unmap_part(struct crowd_cpu *cpu)
{
	for (unsigned int round = 0; round < 10 * ROUNDS; round++) {
		gfn_t from = round % 13, to = from + 1 + round % 3;

		crowd_meet(cpu);
		if (cpu->id == 0 && ept_unmap(cpu->me, from, to - from, &cpu->gather))
			crowd_fail(cpu, "unmap failed");
		for (unsigned int i = 0; i < 3 && cpu->id; i++) {
			if (cpu->id == 1)
				split(cpu, crowd_random(cpu, 16));
			else
				collapse(cpu, crowd_random(cpu, 16), PG_LEVEL_1G);
			walk(cpu, 16 + crowd_random(cpu, 16), true);
			crowd_pause(cpu);
		}
		ept_sync(&cpu->gather);
		crowd_meet(cpu);
		if (cpu->id)
			continue;
		check_part(cpu, from, to);
		crowd_share(&crowd);
	}
}

static void an_unmapped_part_is_gone_and_no_more_while_others_split_and_collapse(void **state)
{
	(void)state;
	run(unmap_part);
	verify();
}

static void same_page(struct crowd_cpu *cpu)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		gfn_t gfn = round * F_2M + 17;
		struct ept_claim claim;

		crowd_meet(cpu);
		if (ept_request(cpu->me, gfn) == 0)
			atomic_fetch_add(&won[0], 1);
		crowd_pause(cpu);
		if (ept_fill(cpu->me, gfn, PG_LEVEL_4K, &claim) == 0) {
			atomic_fetch_add(&won[1], 1);
			contents[gfn]++;
			(void)ept_publish(cpu->me, &claim);
		}
	}
}

static void of_those_who_touch_one_absent_page_one_asks_and_one_fills(void **state)
{
	(void)state;
	atomic_store(&won[0], 0);
	atomic_store(&won[1], 0);
	run(same_page);
	verify();
	/* Where the page came before anybody asked, nobody did. */
	assert_in_range(won[0], 1, ROUNDS);
	assert_int_equal(won[0], stats().requests);
	assert_int_equal(won[1], ROUNDS);
	for (unsigned int round = 0; round < ROUNDS; round++)
		assert_int_equal(contents[round * F_2M + 17], 1);
	assert_int_equal(stats().arrivals, ROUNDS);
	assert_int_equal(stats().pages_4k, ROUNDS);
}

static void same_range(struct crowd_cpu *cpu)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct ept_claim claim;

		crowd_meet(cpu);
		if (ept_fill(cpu->me, round * F_2M + cpu->id * 100, PG_LEVEL_4K, &claim))
			crowd_fail(cpu, "an absent page was refused");
		else
			(void)ept_publish(cpu->me, &claim);
	}
}

static void those_who_touch_different_pages_of_an_absent_2m_link_exactly_one_table(void **state)
{
	(void)state;
	run(same_range);
	verify();
	assert_int_equal(stats().tables, 1 + 1 + 1 + ROUNDS);
	assert_int_equal(stats().splits_absent, 1 + ROUNDS);
	assert_int_equal(stats().pages_4k, ROUNDS * CROWD_CPUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			all_at_once_each_page_arrives_once_and_all_collapses_to_1g, begin, end),
		cmocka_unit_test_setup_teardown(
			splits_and_collapses_of_present_leaves_lose_no_page_and_no_table, begin_toy,
			end),
		cmocka_unit_test_setup_teardown(
			an_unmapped_part_is_gone_and_no_more_while_others_split_and_collapse,
			begin_toy, end),
		cmocka_unit_test_setup_teardown(
			of_those_who_touch_one_absent_page_one_asks_and_one_fills, begin, end),
		cmocka_unit_test_setup_teardown(
			those_who_touch_different_pages_of_an_absent_2m_link_exactly_one_table,
			begin, end),
	};

	return cmocka_run_group_tests_name("many CPUs at once", tests, NULL, NULL);
}
