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

/* What changes ranges and accesses, on what is present, and some of it on what is not. */
static const struct try range_tries[] = {
	{ { .code = STEP_PROTECT, .gfn = 3, .frames = F_2M, .perms = EPT_R }, 0 },
	{ { .code = STEP_PROTECT, .gfn = 5, .frames = 1, .perms = EPT_R | EPT_W }, 2 },
	{ { .code = STEP_DISCARD, .gfn = 5, .frames = 1 }, 0 },
	{ { .code = STEP_FILL_ZERO, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_POISON_RANGE, .gfn = 6, .frames = 2 }, 0 },
	{ { .code = STEP_MOVE, .gfn = 0, .frames = F_2M, .also = 4 * F_1G }, 0 },
	{ { .code = STEP_MOVE, .gfn = 3, .frames = 8, .also = 4 * F_1G + 5 }, 0 },
	{ { .code = STEP_SPLIT_RANGE, .frames = F_2M, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_FREEZE, .gfn = 5, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_FREEZE, .gfn = 0, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_THAW, .write = true }, 0 },
	{ { .code = STEP_REACH, .gfn = 5, .write = true }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 5, .perms = EPT_R | EPT_W }, 0 },
	{ { .code = STEP_SYNC, .also = 5, .write = true, .way = 3 }, 0 },
};

static const struct try track_tries[] = {
	{ { .code = STEP_TRACK, .frames = F_2M }, 0 },
	{ { .code = STEP_TRACK, .frames = F_2M, .write = true }, 0 },
	{ { .code = STEP_COLLECT, .frames = F_2M }, 0 },
	{ { .code = STEP_COLLECT, .gfn = 3, .frames = 4 }, 0 },
	{ { .code = STEP_UNTRACK, .frames = F_1G }, 0 },
	{ { .code = STEP_RESOLVE, .gfn = 5, .write = true }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 5, .perms = EPT_R | EPT_W }, 0 },
	{ { .code = STEP_TOUCH, .gfn = 5, .perms = EPT_R | EPT_W, .way = 3 }, 0 },
	{ { .code = STEP_DISCARD, .gfn = 6, .frames = 1 }, 0 },
	{ { .code = STEP_FILL_ZERO, .gfn = 6, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_SYNC }, 0 },
};

static const struct try execute_tries[] = {
	{ { .code = STEP_RESOLVE, .gfn = 5 }, 0 },
	{ { .code = STEP_RESOLVE, .gfn = 5 }, 2 },
	{ { .code = STEP_FETCH, .gfn = 5 }, 0 },
	{ { .code = STEP_FETCH, .gfn = 6, .way = 1 }, 0 },
	{ { .code = STEP_RECOVER_NX, .frames = F_1G }, 0 },
	{ { .code = STEP_RECOVER_NX, .gfn = F_2M, .frames = F_2M }, 0 },
	{ { .code = STEP_SPLIT, .gfn = F_2M, .level = PG_LEVEL_4K }, 0 },
	{ { .code = STEP_COLLAPSE, .level = PG_LEVEL_2M }, 0 },
	{ { .code = STEP_COLLAPSE_RANGE, .frames = F_1G }, 0 },
	{ { .code = STEP_PROTECT, .frames = F_2M, .perms = EPT_R | EPT_W }, 0 },
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

static bool nx; /* of the worlds to come */

static void try_sequence(const struct step *first, const struct try *tries, const size_t *pick,
			 int depth)
{
	twins_init(&t, &ept_format_amd, PG_LEVEL_1G, 16);
	if (nx)
		twins_set_nx(&t);
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

static const struct step a_present_gib = {
	.code = STEP_MAP, .frames = F_1G, .kind = EPT_PRESENT, .perms = EPT_RWX, .memtype = EPT_WB
};

static void they_agree_on_range_changes_and_other_frames(void **state)
{
	(void)state;
	try_all(&a_present_gib, range_tries, ARRAY_LEN(range_tries), 3);
}

static void they_agree_on_dirty_tracking(void **state)
{
	(void)state;
	try_all(&a_present_gib, track_tries, ARRAY_LEN(track_tries), 3);
}

static void they_agree_where_large_leaves_cannot_be_executed(void **state)
{
	(void)state;
	nx = true;
	try_all(&a_present_gib, execute_tries, ARRAY_LEN(execute_tries), 3);
	nx = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_agree_on_all_short_sequences_on_an_absent_gib),
		cmocka_unit_test(they_agree_on_all_short_sequences_on_a_present_gib),
		cmocka_unit_test(they_agree_on_range_changes_and_other_frames),
		cmocka_unit_test(they_agree_on_dirty_tracking),
		cmocka_unit_test(they_agree_where_large_leaves_cannot_be_executed),
	};

	return cmocka_run_group_tests_name("both formats, short sequences", tests, NULL, NULL);
}
