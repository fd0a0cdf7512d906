/* SPDX-License-Identifier: MIT */
/*
 * Intel's format and AMD's side by side: whatever is done, the same comes of it, and each entry is
 * one that its hardware accepts. Long random streams; and formats that are wrong on purpose, which
 * must be found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/host/model/twins.h"
#include "tests/host/random.h"

#define F_2M  512u
#define F_1G  (512u * 512u)
#define PAGES (2 * F_1G)

static struct twins t;

static uint64_t state_of_random;

static uint32_t draw(uint32_t below)
{
	return rnd(&state_of_random) % below;
}

/* --- random streams ----------------------------------------------------------------------------
 */

/* How often what happens, and to pages of which kind as a rule. */
static const struct {
	uint8_t weight;
	uint8_t kind;
} odds[STEP_CODES] = {
	[STEP_MAP] = { 8, EPT_NONE },
	[STEP_UNMAP] = { 3, EPT_PRESENT },
	[STEP_REQUEST] = { 6, EPT_ABSENT },
	[STEP_ARRIVE] = { 18, EPT_ABSENT },
	[STEP_ARRIVE_ALL] = { 6, EPT_ABSENT },
	[STEP_FILL] = { 6, EPT_ABSENT },
	[STEP_PUBLISH] = { 10, EPT_NONE },
	[STEP_GIVE_UP] = { 5, EPT_NONE },
	[STEP_SPLIT] = { 8, EPT_PRESENT },
	[STEP_COLLAPSE] = { 8, EPT_PRESENT },
	[STEP_COLLAPSE_RANGE] = { 4, EPT_PRESENT },
	[STEP_POISON] = { 1, EPT_PRESENT },
	[STEP_TOUCH] = { 22, EPT_PRESENT },
	[STEP_SYNC] = { 5, EPT_NONE },
	[STEP_PROTECT] = { 2, EPT_PRESENT },
	[STEP_DISCARD] = { 2, EPT_PRESENT },
	[STEP_FILL_ZERO] = { 4, EPT_ABSENT },
	[STEP_POISON_RANGE] = { 1, EPT_PRESENT },
	[STEP_MOVE] = { 2, EPT_PRESENT },
	[STEP_SPLIT_RANGE] = { 1, EPT_PRESENT },
	[STEP_TRACK] = { 1, EPT_PRESENT },
	[STEP_COLLECT] = { 3, EPT_PRESENT },
	[STEP_UNTRACK] = { 4, EPT_PRESENT },
	[STEP_FETCH] = { 3, EPT_PRESENT },
	[STEP_RESOLVE] = { 4, EPT_PRESENT },
	[STEP_REACH] = { 3, EPT_PRESENT },
	[STEP_FREEZE] = { 3, EPT_PRESENT },
	[STEP_THAW] = { 8, EPT_NONE },
	[STEP_RECOVER_NX] = { 1, EPT_PRESENT },
};

static const uint8_t perms[] = { EPT_RWX, EPT_R, EPT_R | EPT_W, EPT_R | EPT_X };
static const uint8_t memtypes[] = { EPT_WB, EPT_UC, EPT_WC, EPT_WT, EPT_WP };
static const uint8_t accesses[] = { EPT_R, EPT_R | EPT_W, EPT_R | EPT_X };

/* Few places, at the edges of tables, and often near that of the step before, so that steps meet.
 */
static uint32_t draw_place(void)
{
	uint32_t gfn = draw(2) * F_1G + draw(3) * F_2M;

	if (t.done && draw(2))
		gfn = (uint32_t)ALIGN_DOWN(t.last[(t.done - 1) % TWIN_KEPT].gfn, F_2M);
	else if (draw(6) == 0)
		gfn += F_1G - 3 * F_2M;
	return gfn + (draw(2) ? draw(3) : F_2M - 1 - draw(3));
}

/* A place that holds such a page, if a few tries find one. */
static uint32_t draw_gfn(enum ept_kind kind)
{
	uint32_t gfn = draw_place();

	for (int i = 0; i < 6 && ept_lookup(&t.amd.ept, gfn).kind != kind; i++)
		gfn = draw_place();
	return gfn;
}

/* Most are pieces of a level; the rest have odd ends. */
static uint32_t draw_frames(uint32_t gfn)
{
	uint32_t n = (uint32_t)level_frames((enum pg_level)(PG_LEVEL_4K + draw(3)));

	n = draw(4) ? n : 1 + draw(3 * F_2M);
	return MIN(n, PAGES - gfn);
}

static uint8_t draw_code(void)
{
	uint32_t sum = 0, at;
	uint8_t code = 0;

	for (int i = 0; i < STEP_CODES; i++)
		sum += odds[i].weight;
	for (at = draw(sum); at >= odds[code].weight; code++)
		at -= odds[code].weight;
	return code;
}

static struct step draw_step(void)
{
	struct step s = { .code = draw_code() };
	bool aligned = draw(4) || s.code == STEP_ARRIVE || s.code == STEP_FILL;

	s.level = (uint8_t)(draw(2) ? PG_LEVEL_4K : PG_LEVEL_4K + draw(3));
	if (s.code == STEP_COLLAPSE && s.level == PG_LEVEL_4K)
		s.level = PG_LEVEL_2M;
	s.gfn = draw_gfn((enum ept_kind)odds[s.code].kind);
	if (s.code == STEP_MAP || s.code == STEP_ARRIVE_ALL || s.code == STEP_UNMAP)
		s.level = (uint8_t)(PG_LEVEL_4K + draw(3));
	if (aligned)
		s.gfn = (uint32_t)ALIGN_DOWN(s.gfn, level_frames((enum pg_level)s.level));
	s.frames = aligned ? (uint32_t)level_frames((enum pg_level)s.level) : draw_frames(s.gfn);
	s.backing = s.gfn;
	if (s.code == STEP_MAP && s.frames <= 2 * F_2M && draw(8) == 0)
		s.backing += 1 + draw(F_2M); /* leaves must stay small */
	s.kind = draw(3) ? EPT_ABSENT : EPT_PRESENT;
	s.perms = s.code == STEP_TOUCH ? accesses[draw(3)] : perms[draw(4) ? 0 : draw(4)];
	s.memtype = memtypes[draw(ARRAY_LEN(memtypes))];
	s.write = draw(3) == 0;
	s.also = draw_gfn(EPT_PRESENT);
	s.way = (uint8_t)draw(4);
	if (s.code == STEP_FREEZE)
		s.gfn = (uint32_t)ALIGN_DOWN(s.gfn, level_frames((enum pg_level)s.level));
	if (s.code == STEP_UNTRACK || s.code == STEP_RECOVER_NX)
		s.gfn = 0, s.frames = PAGES;
	/* What looks at each page. */
	if (s.code == STEP_TRACK || s.code == STEP_SPLIT_RANGE || s.code == STEP_MOVE)
		s.frames = MIN(s.frames, F_2M);
	if (s.code == STEP_MOVE)
		s.also = (uint32_t)ALIGN_DOWN(draw_place(), F_2M) + s.gfn % F_2M;
	return s;
}

/* Now and then all begins anew: one region, as large as can be. */
static bool renew(void)
{
	const struct step steps[] = {
		{ .code = STEP_SYNC },
		{ .code = STEP_UNMAP, .frames = PAGES },
		{ .code = STEP_SYNC },
		{ .code = STEP_MAP,
		  .frames = PAGES,
		  .kind = draw(3) ? EPT_ABSENT : EPT_PRESENT,
		  .perms = perms[draw(2) ? 0 : draw(4)],
		  .memtype = memtypes[draw(ARRAY_LEN(memtypes))] },
	};

	if (t.claimed && !twins_step(&t, &(struct step){ .code = STEP_GIVE_UP }, 0))
		return false;
	if (t.is_frozen && !twins_step(&t, &(struct step){ .code = STEP_THAW }, 0))
		return false;
	if (!twins_step(&t, &(struct step){ .code = STEP_UNTRACK, .frames = PAGES }, 0))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (!twins_step(&t, &steps[i], 0))
			return false;
	return true;
}

static bool run(uint64_t steps)
{
	uint64_t since = 0, epoch = 0;

	while (t.done < steps) {
		struct step s = draw_step();
		gfn_t near = ALIGN_DOWN(s.gfn, F_2M);

		if (since++ == epoch) {
			since = 0;
			epoch = 40 + draw(400);
			if (!renew())
				return false;
		}
		if (!twins_allow(&t, &s))
			continue;
		if (!twins_step(&t, &s, draw(4) ? 0 : 1 + draw(2)) ||
		    !twins_compare_range(&t, near, F_2M))
			return false;
		if (t.done % 200 == 0 && !(twins_check(&t) && twins_compare_range(&t, 0, PAGES)))
			return false;
	}
	return true;
}

static void stream(uint64_t seed, uint64_t steps)
{
	struct ept_stats sum;
	bool fine;

	state_of_random = seed;
	twins_init(&t, &ept_format_amd, PG_LEVEL_1G, 700);
	fine = run(steps) && twins_check(&t);
	ept_stats_sum(&t.amd.ept, &sum);
	twins_fini(&t);
	if (t.fault[0])
		twins_tell(&t, "a stream");
	printf("# seed %lu: %lu steps, %lu starved; arrivals %ld, splits %ld absent, %ld present, "
	       "collapses %ld, late bits %ld\n",
	       (unsigned long)seed, (unsigned long)t.done, (unsigned long)t.starved,
	       (long)sum.arrivals, (long)sum.splits_absent, (long)sum.splits_present,
	       (long)sum.collapses, (long)sum.late_bits);
	assert_true(fine);
	assert_string_equal(t.fault, "");
	/* A stream in which nothing happened would prove nothing. */
	for (int code = 0; code < STEP_CODES; code++)
		assert_true(!odds[code].weight || t.count[code] > steps / 1000);
	assert_true(t.starved > steps / 200);
	assert_true(sum.collapses > (int64_t)steps / 200);
	assert_true(sum.splits_present > (int64_t)steps / 200);
	assert_true(sum.late_bits > 0);
}

static void intel_and_amd_agree_after_every_step_of_long_streams(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		stream(seed, 100000);
}

/* --- formats that are wrong on purpose ---------------------------------------------------------
 */

#define BIT(n) (UINT64_C(1) << (n))

static uint64_t leaf_without_user(enum pg_level level, unsigned int rights, enum ept_memtype type)
{
	return ept_format_amd.leaf(level, rights, type) & ~BIT(2);
}

static uint64_t leaf_without_nx(enum pg_level level, unsigned int rights, enum ept_memtype type)
{
	return ept_format_amd.leaf(level, rights, type) & ~BIT(63);
}

static uint64_t leaf_with_global(enum pg_level level, unsigned int rights, enum ept_memtype type)
{
	return ept_format_amd.leaf(level, rights, type) | BIT(8);
}

/* The PAT bit stays where a large leaf has it... */
static uint64_t leaf_with_high_pat(enum pg_level level, unsigned int rights, enum ept_memtype type)
{
	uint64_t leaf = ept_format_amd.leaf(level, rights, type);

	return level == PG_LEVEL_4K && leaf & BIT(7) ? leaf ^ BIT(7) ^ BIT(12) : leaf;
}

/* ... or where a small one has it, which in a large one is taken already. */
static uint64_t leaf_with_low_pat(enum pg_level level, unsigned int rights, enum ept_memtype type)
{
	uint64_t leaf = ept_format_amd.leaf(level, rights, type);

	return level == PG_LEVEL_4K ? leaf : leaf & ~BIT(12);
}

static uint64_t leaf_with_pwt_and_pcd_swapped(enum pg_level level, unsigned int rights,
					      enum ept_memtype type)
{
	uint64_t leaf = ept_format_amd.leaf(level, rights, type);

	return (leaf & ~BIT(3) & ~BIT(4)) | (leaf & BIT(3)) << 1 | (leaf & BIT(4)) >> 1;
}

static enum ept_memtype memtype_by_low_pat(uint64_t leaf, enum pg_level level)
{
	return level > PG_LEVEL_4K ? ept_format_amd.memtype_of(leaf & ~BIT(12), level)
				   : ept_format_amd.memtype_of(leaf, level);
}

static unsigned int perms_always_with_execute(uint64_t leaf)
{
	return ept_format_amd.perms_of(leaf) | EPT_X;
}

static void must_be_found_out(const struct ept_format *wrong, const char *what)
{
	state_of_random = 99;
	twins_init(&t, wrong, PG_LEVEL_1G, 700);
	(void)run(3000);
	printf("# %s: after %lu steps: %s\n", what, (unsigned long)t.done, t.fault);
	twins_fini(&t);
	assert_string_not_equal(t.fault, "");
}

static void every_wrong_format_is_found_out(void **state)
{
#define WRONG(field, value)                                                                        \
	do {                                                                                       \
		struct ept_format f = ept_format_amd;                                              \
		f.field = value;                                                                   \
		must_be_found_out(&f, #field " = " #value);                                        \
	} while (0)
	(void)state;
	WRONG(leaf, leaf_without_user);
	WRONG(leaf, leaf_without_nx);
	WRONG(leaf, leaf_with_global);
	WRONG(leaf, leaf_with_high_pat);
	WRONG(leaf, leaf_with_low_pat);
	WRONG(leaf, leaf_with_pwt_and_pcd_swapped);
	WRONG(memtype_of, memtype_by_low_pat);
	WRONG(perms_of, perms_always_with_execute);
	WRONG(table, BIT(0) | BIT(1));
	WRONG(table, BIT(0) | BIT(2));
	WRONG(table, BIT(0) | BIT(1) | BIT(2) | BIT(63));
	WRONG(table, BIT(0) | BIT(1) | BIT(2) | BIT(4));
	WRONG(accessed, ept_format_intel.accessed);
	WRONG(dirty, ept_format_intel.dirty);
#undef WRONG
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intel_and_amd_agree_after_every_step_of_long_streams),
		cmocka_unit_test(every_wrong_format_is_found_out),
	};

	return cmocka_run_group_tests_name("both formats", tests, NULL, NULL);
}
