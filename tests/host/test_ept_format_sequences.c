/* SPDX-License-Identifier: MIT */
/*
 * Intel's format and AMD's side by side: all short sequences of a set of steps, some of them with
 * an allocation that fails. See tests/host/test_ept_formats.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/host/model/twins.h"

#define F_2M 512u
#define F_1G (512u * 512u)

static struct twins t;

/* --- all short sequences -----------------------------------------------------------------------
 */

#define DEPTH_MAX 5

/* A step, and which of its allocations fails. */
struct
try {
	struct step step;
	unsigned int fail_at;
};

/* Around the page 5, which the first table of 2 MiB and the first of 1 GiB cover. */
static const struct try absent_tries[] = {
	{ { .code = STEP_ARRIVE, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_ARRIVE, .gfn = 5, .level = PG_LEVEL_4K }, 2 },
	{ { .code = STEP_ARRIVE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_ARRIVE, .level = PG_LEVEL_1G }, 0 },
	{ { .code = STEP_ARRIVE_ALL, .frames = F_2M }, 0 },
	{ { .code = STEP_REQUEST, .gfn = 5 }, 0 },
	{ { .code = STEP_REQUEST, .gfn = 5 }, 1 },
	{ { .code = STEP_FILL, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_FILL, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_PUBLISH }, 0 },
	{ { .code = STEP_GIVE_UP }, 0 },
	{ { .code = STEP_SPLIT, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_POISON, .gfn = 5 }, 0 },
	{ { .code = STEP_UNMAP, .gfn = 3, .frames = F_2M }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 5, .perms = EPT_R }, 0 },
	{ { .code = STEP_SYNC }, 0 },
};

static const struct try present_tries[] = {
	{ { .code = STEP_SPLIT, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_SPLIT, .gfn = 5, .level = PG_LEVEL_4K }, 2 },
	{ { .code = STEP_SPLIT, .gfn = 5, .level = PG_LEVEL_2M, .write = true, .also = F_2M }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_1G }, 0 },
	{ { .code = STEP_COLLAPSE_RANGE, .frames = F_1G }, 0 },
	{ { .code = STEP_POISON, .gfn = 5 }, 0 },
	{ { .code = STEP_POISON, .gfn = 5 }, 1 },
	{ { .code = STEP_UNMAP, .gfn = 3, .frames = F_2M }, 0 },
	{ { .code = STEP_UNMAP, .gfn = 3, .frames = F_2M }, 3 },
	{ { .code = STEP_TOUCH, .gfn = 5, .perms = EPT_R }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 6, .perms = EPT_R | EPT_W }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 6, .perms = EPT_R | EPT_W, .way = 3 }, 0 },
	{ { .code = STEP_SYNC, .also = 5, .write = true, .way = 3 }, 0 },
	{ { .code = STEP_SYNC }, 0 },
};

/* The few with which long ways are worth it: to a collapse and what comes late. */
static const struct try few_absent_tries[] = {
	{ { .code = STEP_ARRIVE, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_ARRIVE_ALL, .frames = F_2M }, 0 },
	{ { .code = STEP_FILL, .gfn = 6, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_PUBLISH }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_SYNC }, 0 },
};

static const struct try few_present_tries[] = {
	{ { .code = STEP_SPLIT, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 6, .perms = EPT_R }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 6, .perms = EPT_R | EPT_W, .way = 3 }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_1G }, 0 },
	{ { .code = STEP_SYNC, .also = 5, .write = true, .way = 3 }, 0 },
};

static void try_sequence(const struct step *first, const struct try *tries, const size_t *pick,
			 int depth)
{
	twins_init(&t, &ept_format_amd, PG_LEVEL_1G, 16);
	(void)twins_step(&t, first, 0);
	for (int i = 0; i < depth && !t.fault[0]; i++) {
		const struct try *try = &tries[pick[i]];

		if (twins_allow(&t, &try->step))
			(void)twins_step(&t, &try->step, try->fail_at);
	}
	(void)twins_compare_range(&t, 0, 2 * F_2M);
	twins_fini(&t);
	if (t.fault[0])
		twins_tell(&t, "a sequence");
	assert_string_equal(t.fault, "");
}

/* All sequences of `depth` of the tries, each from the beginning. */
static void try_all(const struct step *first, const struct try *tries, size_t n, int depth)
{
	size_t pick[DEPTH_MAX] = { 0 };
	int digit = 0;

	while (digit < depth) {
		try_sequence(first, tries, pick, depth);
		for (digit = 0; digit < depth && ++pick[digit] == n; digit++)
			pick[digit] = 0;
	}
}

static void they_agree_on_all_short_sequences_on_an_absent_gib(void **state)
{
	const struct step first = { .code = STEP_MAP,
				    .frames = F_1G,
				    .kind = EPT_ABSENT,
				    .perms = EPT_R | EPT_X,
				    .memtype = EPT_WP };

	(void)state;
	try_all(&first, absent_tries, ARRAY_LEN(absent_tries), 3);
	try_all(&first, few_absent_tries, ARRAY_LEN(few_absent_tries), 5);
}

static void they_agree_on_all_short_sequences_on_a_present_gib(void **state)
{
	const struct step first = { .code = STEP_MAP,
				    .frames = F_1G,
				    .kind = EPT_PRESENT,
				    .perms = EPT_R | EPT_W,
				    .memtype = EPT_WC };

	(void)state;
	try_all(&first, present_tries, ARRAY_LEN(present_tries), 3);
	try_all(&first, few_present_tries, ARRAY_LEN(few_present_tries), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_agree_on_all_short_sequences_on_an_absent_gib),
		cmocka_unit_test(they_agree_on_all_short_sequences_on_a_present_gib),
	};

	return cmocka_run_group_tests_name("both formats, short sequences", tests, NULL, NULL);
}
