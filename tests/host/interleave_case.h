/* SPDX-License-Identifier: MIT */
/*
 * What the scenes of few CPUs in all orders share: see model/interleave.h. Setups, what a CPU does,
 * and what must come of it.
 */
#ifndef TESTS_HOST_INTERLEAVE_CASE_H
#define TESTS_HOST_INTERLEAVE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/host/model/interleave.h"

#define PAGES INTERLEAVE_PAGES
#define ALL   0x802bu /* pages 0, 1, 3, 5 and 15 stand for all */

static struct {
	unsigned int fills[PAGES];
	unsigned int asked[PAGES]; /* requests that were the first */
	bool wrote[PAGES];
	int result[INTERLEAVE_CPUS];
} seen;

/* --- setups --- */

static inline void map(struct crowd_cpu *cpu, gfn_t gfn, uint64_t n, enum ept_kind kind)
{
	if (ept_map(cpu->me, gfn, n, hpa(CROWD_BACKING + (gfn << PAGE_SHIFT)), EPT_RWX, EPT_WB,
		    kind))
		crowd_fail(cpu, "map failed");
}

static inline void collapse(struct crowd_cpu *cpu, gfn_t gfn, enum pg_level level)
{
	int r = ept_collapse(cpu->me, gfn, level, &cpu->gather);

	if (r == EPT_INVALID || r == EPT_SCATTERED || r == EPT_MIXED)
		crowd_fail(cpu, "collapse returned %d", r);
}

static inline void arrive_in_place(struct crowd_cpu *cpu, gfn_t gfn)
{
	int r = ept_arrive_in_place(cpu->me, gfn);

	seen.result[cpu->id] = r < 0 ? r : 0;
	seen.fills[gfn] += r >= 0;
	if (r > 0)
		collapse(cpu, gfn, PG_LEVEL_2M);
}

/* Odd pages arrive in place. */
static inline void arrive(struct crowd_cpu *cpu, gfn_t gfn, enum pg_level level)
{
	struct ept_claim claim;
	int r;

	if (level == PG_LEVEL_4K && gfn & 1) {
		arrive_in_place(cpu, gfn);
		return;
	}
	r = ept_fill(cpu->me, gfn, level, &claim);
	seen.result[cpu->id] = r;
	if (r)
		return;
	for (uint64_t i = 0; i < fmt_frames(cpu->crowd->ept.fmt, level); i++)
		seen.fills[gfn + i]++;
	if (ept_publish(cpu->me, &claim))
		collapse(cpu, gfn, (enum pg_level)(level + 1));
}

static inline void split(struct crowd_cpu *cpu, gfn_t gfn)
{
	int r = ept_split(cpu->me, gfn, PG_LEVEL_4K, EPT_WHY_ASKED, &cpu->gather);

	if (r && r != EPT_UNMAPPED && r != EPT_LOST && r != EPT_BUSY)
		crowd_fail(cpu, "split returned %d", r);
}

static inline void nothing(struct crowd_cpu *cpu)
{
	memset(&seen, 0, sizeof(seen));
	(void)cpu;
}

static inline void absent(struct crowd_cpu *cpu)
{
	nothing(cpu);
	map(cpu, 0, PAGES, EPT_ABSENT);
}

static inline void present(struct crowd_cpu *cpu)
{
	nothing(cpu);
	map(cpu, 0, PAGES, EPT_PRESENT);
}

/* Present, the first four pages in single entries. */
static inline void present_small(struct crowd_cpu *cpu)
{
	present(cpu);
	split(cpu, 0);
	ept_sync(&cpu->gather);
}

static inline void touch(struct crowd_cpu *cpu, gfn_t gfn, bool write, unsigned int way)
{
	struct tlb_access a;
	enum tlb_outcome o = tlb_use(&cpu->tlb, &cpu->crowd->ept, gfn, write, way, &a);

	if (o == TLB_FAULT)
		crowd_fail(cpu, "hardware walked into what is no table");
	if (o == TLB_HIT && a.frame != CROWD_BACKING + (gfn << PAGE_SHIFT))
		crowd_fail(cpu, "hardware found a wrong frame");
	if (o == TLB_HIT && write)
		seen.wrote[gfn] = true;
}

static inline void expect(struct crowd_cpu *cpu, gfn_t from, gfn_t to, enum ept_kind kind)
{
	for (gfn_t gfn = from; gfn < to; gfn++) {
		struct ept_state s = ept_lookup(&cpu->crowd->ept, gfn);
		uint64_t offset = gfn & (fmt_frames(cpu->crowd->ept.fmt, s.level) - 1);

		if (s.kind != kind)
			crowd_fail(cpu, "page %lu became %s", (long)gfn, entry_kind_name(s.kind));
		else if (kind != EPT_NONE &&
			 s.frame.v + (offset << PAGE_SHIFT) != CROWD_BACKING + (gfn << PAGE_SHIFT))
			crowd_fail(cpu, "page %lu got a wrong frame", (long)gfn);
		if (seen.wrote[gfn] && s.kind == EPT_PRESENT && !s.dirty)
			crowd_fail(cpu, "page %lu lost its dirty bit", (long)gfn);
		if (seen.fills[gfn] > 1)
			crowd_fail(cpu, "page %lu was filled %u times", (long)gfn, seen.fills[gfn]);
	}
}

static inline void expect_tables(struct crowd_cpu *cpu, int64_t n)
{
	struct ept_stats sum;

	ept_stats_sum(&cpu->crowd->ept, &sum);
	if (sum.tables != n)
		crowd_fail(cpu, "%ld tables, not %ld", (long)sum.tables, (long)n);
}

#define SCENE(scene_name, n, nested, start, end, always, ...)                                      \
	static void scene_name(void **state)                                                       \
	{                                                                                          \
		const struct scene scene = {                                                       \
			.name = #scene_name,                                                       \
			.ncpus = n,                                                                \
			.preemptions = nested,                                                     \
			.setup = start,                                                            \
			.act = { __VA_ARGS__ },                                                    \
			.check = end,                                                              \
			.steady = always,                                                          \
		};                                                                                 \
                                                                                                   \
		(void)state;                                                                       \
		assert_true(interleave(&scene));                                                   \
	}

#endif
