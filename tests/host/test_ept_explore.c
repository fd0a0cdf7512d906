/* SPDX-License-Identifier: MIT */
/*
 * All sequences of operations on the toy geometry, against the flat reference and the model TLB.
 * One set of steps for each theme, so that each goes deep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/host/model/explore.h"
#include "tests/host/model/toy.h"

#define PAGES 16

static struct step *add(struct explore *x, enum step_code code)
{
	struct step *s = &x->step[x->nsteps++];

	assert_true(x->nsteps <= EXPLORE_STEPS);
	*s = (struct step){ .code = (uint8_t)code };
	return s;
}

static void add_at(struct explore *x, enum step_code code, unsigned int gfn, unsigned int level)
{
	struct step *s = add(x, code);

	s->gfn = gfn;
	s->level = (uint8_t)level;
}

static void add_range(struct explore *x, enum step_code code, unsigned int gfn, unsigned int end)
{
	struct step *s = add(x, code);

	s->gfn = gfn;
	s->frames = end - gfn;
}

static struct step map(unsigned int gfn, unsigned int end, enum ept_kind kind, unsigned int perms,
		       unsigned int shift)
{
	return (struct step){
		.code = STEP_MAP,
		.gfn = gfn,
		.frames = end - gfn,
		.backing = gfn + shift,
		.kind = (uint8_t)kind,
		.perms = (uint8_t)perms,
		.memtype = EPT_WB,
	};
}

static void add_map(struct explore *x, unsigned int gfn, unsigned int end, enum ept_kind kind,
		    unsigned int perms, unsigned int shift)
{
	x->step[x->nsteps++] = map(gfn, end, kind, perms, shift);
}

static void add_touches(struct explore *x, unsigned int gfn, bool write, unsigned int ways)
{
	for (unsigned int way = 0; way < ways; way++) {
		struct step *s = add(x, STEP_TOUCH);

		s->gfn = gfn;
		s->write = write;
		s->way = (uint8_t)way;
	}
}

static void add_late_writes(struct explore *x, unsigned int gfn, unsigned int ways)
{
	for (unsigned int way = 0; way < ways; way++) {
		struct step *s = add(x, STEP_SYNC);

		s->also = gfn;
		s->write = true;
		s->way = (uint8_t)way;
	}
}

static void add_split_with_write(struct explore *x, unsigned int gfn, unsigned int level,
				 unsigned int also)
{
	struct step *s = add(x, STEP_SPLIT);

	s->gfn = gfn;
	s->level = (uint8_t)level;
	s->also = also;
	s->write = true;
}

static struct explore begin(const char *name, unsigned int depth)
{
	return (struct explore){ .name = name,
				 .fmt = &ept_format_toy,
				 .npages = PAGES,
				 .pending_max = 2,
				 .depth = depth };
}

static void arrivals_claims_and_collapses(void **state)
{
	struct explore x = begin("arrivals", 40);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	for (unsigned int gfn = 0; gfn < 4; gfn++)
		add_at(&x, STEP_ARRIVE, gfn, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 5, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_ARRIVE_ALL, 4, PAGES);
	add_range(&x, STEP_ARRIVE_ALL, 1, 4);
	add_at(&x, STEP_REQUEST, 0, 0);
	add_at(&x, STEP_REQUEST, 5, 0);
	add_at(&x, STEP_FILL, 0, PG_LEVEL_4K);
	add_at(&x, STEP_FILL, 4, PG_LEVEL_2M);
	add_at(&x, STEP_FILL, 0, PG_LEVEL_1G);
	add(&x, STEP_PUBLISH);
	add(&x, STEP_GIVE_UP);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_at(&x, STEP_SPLIT, 5, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 1, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_range(&x, STEP_COLLAPSE_RANGE, 2, 9);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
	assert_true(x.states > 500);
	assert_true(x.failures > 300);
}

static void hardware_that_remembers_all_it_may(void **state)
{
	struct explore x = begin("stale", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_touches(&x, 0, true, 6);
	add_touches(&x, 1, true, 5);
	add_touches(&x, 4, false, 4);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_2M);
	add_at(&x, STEP_SPLIT, 4, PG_LEVEL_4K);
	add_split_with_write(&x, 0, PG_LEVEL_4K, 1);
	add_split_with_write(&x, 4, PG_LEVEL_4K, 0);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_at(&x, STEP_POISON, 5, 0);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 0, 5);
	add_late_writes(&x, 5, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void maps_unmaps_and_poison_of_parts(void **state)
{
	struct explore x = begin("parts", 40);

	(void)state;
	x.eager = true;
	add_map(&x, 0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_map(&x, 0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_map(&x, 0, 4, EPT_PRESENT, EPT_R | EPT_X, 0);
	add_map(&x, 4, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_map(&x, 4, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_map(&x, 0, 1, EPT_PRESENT, EPT_R, 0);
	add_map(&x, 1, 4, EPT_PRESENT, EPT_RWX, 0);
	add_map(&x, 1, 7, EPT_ABSENT, EPT_RWX, 65);
	add_map(&x, 4, 8, EPT_PRESENT, EPT_RWX, 128);
	add_range(&x, STEP_UNMAP, 0, PAGES);
	add_range(&x, STEP_UNMAP, 0, 4);
	add_range(&x, STEP_UNMAP, 5, 6);
	add_range(&x, STEP_UNMAP, 2, 9);
	add_range(&x, STEP_UNMAP, 4, 8);
	add_at(&x, STEP_POISON, 0, 0);
	add_at(&x, STEP_POISON, 5, 0);
	add_at(&x, STEP_ARRIVE, 5, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_at(&x, STEP_FILL, 8, PG_LEVEL_2M);
	add(&x, STEP_PUBLISH);
	add_at(&x, STEP_SPLIT, 3, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrivals_claims_and_collapses),
		cmocka_unit_test(hardware_that_remembers_all_it_may),
		cmocka_unit_test(maps_unmaps_and_poison_of_parts),
	};

	return cmocka_run_group_tests_name("every sequence on the toy geometry", tests, NULL, NULL);
}
