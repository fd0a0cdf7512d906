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

/* --- ranges ------------------------------------------------------------------------------------
 */

static void add_protect(struct explore *x, unsigned int gfn, unsigned int end, unsigned int perms)
{
	add_range(x, STEP_PROTECT, gfn, end);
	x->step[x->nsteps - 1].perms = (uint8_t)perms;
}

static void rights_outlive_splits_and_collapses(void **state)
{
	struct explore x = begin("protect", 7);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_protect(&x, 0, PAGES, EPT_R | EPT_X);
	add_protect(&x, 0, PAGES, EPT_RWX);
	add_protect(&x, 0, 4, EPT_R);
	add_protect(&x, 1, 2, EPT_R | EPT_W);
	add_protect(&x, 3, 9, EPT_R | EPT_X);
	add_protect(&x, 0, 4, EPT_RWX);
	add_protect(&x, 0, 4, EPT_W);
	add_touches(&x, 1, true, 3);
	add_touches(&x, 5, true, 2);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 3);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

static void rights_of_what_has_not_arrived(void **state)
{
	struct explore x = begin("protect absent", 40);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_protect(&x, 0, PAGES, EPT_RWX);
	add_protect(&x, 1, 2, EPT_R);
	add_protect(&x, 3, 9, EPT_R | EPT_X);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_at(&x, STEP_FILL, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FILL, 4, PG_LEVEL_2M);
	add(&x, STEP_PUBLISH);
	add(&x, STEP_GIVE_UP);
	add_at(&x, STEP_REQUEST, 1, 0);
	add_at(&x, STEP_POISON, 1, 0);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
}

static void what_is_discarded_is_zero_and_never_asked_for(void **state)
{
	struct explore x = begin("discard", 40);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_range(&x, STEP_DISCARD, 0, PAGES);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_range(&x, STEP_DISCARD, 3, 9);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FILL_ZERO, 4, PG_LEVEL_2M);
	add_at(&x, STEP_FILL_ZERO, 0, PG_LEVEL_1G);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_at(&x, STEP_FILL, 1, PG_LEVEL_4K);
	add(&x, STEP_PUBLISH);
	add(&x, STEP_GIVE_UP);
	add_at(&x, STEP_REQUEST, 1, 0);
	add_range(&x, STEP_POISON_RANGE, 1, 3);
	add_range(&x, STEP_UNMAP, 2, 3);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
	assert_true(x.states > 1000);
}

static void what_is_discarded_is_reached_no_more(void **state)
{
	struct explore x = begin("discard present", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_range(&x, STEP_DISCARD, 3, 9);
	add_range(&x, STEP_POISON_RANGE, 4, 6);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FILL_ZERO, 4, PG_LEVEL_2M);
	add_touches(&x, 1, true, 3);
	add_touches(&x, 5, false, 2);
	add_at(&x, STEP_REACH, 1, 0);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_range(&x, STEP_SPLIT_RANGE, 0, 7);
	x.step[x.nsteps - 1].level = PG_LEVEL_4K;
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 3);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void add_move(struct explore *x, unsigned int from, unsigned int end, unsigned int to)
{
	add_range(x, STEP_MOVE, from, end);
	x->step[x->nsteps - 1].also = to;
}

static void moves_at_mixed_granularity(void **state)
{
	struct explore x = begin("move", 9);

	(void)state;
	x.npages = 32;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_move(&x, 0, 16, 16);
	add_move(&x, 16, 32, 0);
	add_move(&x, 0, 4, 17);
	add_move(&x, 17, 21, 0);
	add_move(&x, 1, 6, 25);
	add_move(&x, 24, 31, 1);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_REQUEST, 2, 0);
	add_at(&x, STEP_FILL, 5, PG_LEVEL_4K);
	add(&x, STEP_PUBLISH);
	add_at(&x, STEP_POISON, 3, 0);
	add_range(&x, STEP_ARRIVE_ALL, 0, 32);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, 32);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

static void stale_ways_to_what_was_moved(void **state)
{
	struct explore x = begin("move stale", 9);

	(void)state;
	x.npages = 32;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_move(&x, 0, 16, 16);
	add_move(&x, 16, 32, 0);
	add_move(&x, 0, 4, 17);
	add_move(&x, 17, 21, 0);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 2, false, 2);
	add_touches(&x, 18, true, 2);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 1, PG_LEVEL_2M);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add(&x, STEP_THAW);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

/* --- dirty tracking ------------------------------------------------------------------------------
 */

static void add_tracking(struct explore *x, bool by_faults)
{
	add_range(x, STEP_TRACK, 0, PAGES);
	x->step[x->nsteps - 1].write = by_faults;
	add_range(x, STEP_COLLECT, 0, PAGES);
	add_range(x, STEP_COLLECT, 1, 3);
	add_range(x, STEP_UNTRACK, 0, PAGES);
}

static void add_resolves(struct explore *x, unsigned int gfn, bool write)
{
	add_at(x, STEP_RESOLVE, gfn, 0);
	x->step[x->nsteps - 1].write = write;
}

static void add_reaches(struct explore *x, unsigned int gfn)
{
	add_at(x, STEP_REACH, gfn, 0);
	add_at(x, STEP_REACH, gfn, 0);
	x->step[x->nsteps - 1].write = true;
}

static void no_write_is_missed_by_dirty_bits(void **state)
{
	struct explore x = begin("dirty bits", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, 8, EPT_PRESENT, EPT_RWX, 0);
	add_tracking(&x, false);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 5, true, 2);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_reaches(&x, 1);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void no_write_is_missed_by_faults(void **state)
{
	struct explore x = begin("write faults", 8);

	(void)state;
	x.plain = true;
	x.first[x.nfirst++] = map(0, 8, EPT_PRESENT, EPT_RWX, 0);
	add_tracking(&x, true);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 5, true, 2);
	add_resolves(&x, 1, true);
	add_resolves(&x, 5, true);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_reaches(&x, 1);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void arrivals_under_tracking(void **state)
{
	struct explore x = begin("tracked arrivals", 8);

	(void)state;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_tracking(&x, false);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_ARRIVE_ALL, 0, 4);
	add_at(&x, STEP_FILL, 2, PG_LEVEL_4K);
	add(&x, STEP_PUBLISH);
	add_touches(&x, 1, true, 2);
	add_touches(&x, 5, true, 2);
	add_resolves(&x, 5, true);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_at(&x, STEP_POISON, 3, 0);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void arrivals_under_tracking_by_faults(void **state)
{
	struct explore x = begin("tracked arrivals, faults", 9);

	(void)state;
	x.plain = true;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_tracking(&x, true);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_ARRIVE, 0, PG_LEVEL_1G);
	add_touches(&x, 1, true, 2);
	add_touches(&x, 5, true, 2);
	add_resolves(&x, 1, true);
	add_resolves(&x, 5, true);
	add_range(&x, STEP_DISCARD, 1, 2);
	add_at(&x, STEP_FILL_ZERO, 1, PG_LEVEL_4K);
	add_protect(&x, 4, 6, EPT_R | EPT_X);
	add_at(&x, STEP_FREEZE, 5, PG_LEVEL_4K);
	add(&x, STEP_THAW);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

/* --- other frames --------------------------------------------------------------------------------
 */

static void add_thaws(struct explore *x)
{
	add(x, STEP_THAW);
	add(x, STEP_THAW)->write = true;
}

static void what_is_frozen_stands_still_for_all_others(void **state)
{
	struct explore x = begin("freeze", 6);

	(void)state;
	x.first[x.nfirst++] = map(0, 8, EPT_PRESENT, EPT_RWX, 0);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FREEZE, 4, PG_LEVEL_2M);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_2M);
	add_thaws(&x);
	add_touches(&x, 1, true, 3);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_SPLIT, 5, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_range(&x, STEP_UNMAP, 0, 1);
	add_range(&x, STEP_UNMAP, 0, 8);
	add_protect(&x, 0, 2, EPT_R);
	add_range(&x, STEP_DISCARD, 0, 1);
	add_range(&x, STEP_POISON_RANGE, 2, 3);
	add_at(&x, STEP_POISON, 1, 0);
	add_at(&x, STEP_REQUEST, 1, 0);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_resolves(&x, 1, true);
	add_reaches(&x, 1);
	add_move(&x, 0, 4, 8);
	add_range(&x, STEP_SPLIT_RANGE, 0, 8);
	x.step[x.nsteps - 1].level = PG_LEVEL_4K;
	add_tracking(&x, true);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void nobody_reaches_the_old_frame_after_the_sync(void **state)
{
	struct explore x = begin("relocate", 10);

	(void)state;
	x.first[x.nfirst++] = map(0, 4, EPT_PRESENT, EPT_RWX, 0);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_FREEZE, 0, PG_LEVEL_2M);
	add_thaws(&x);
	add_touches(&x, 1, true, 4);
	add_touches(&x, 2, false, 2);
	add_at(&x, STEP_SPLIT, 0, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 4);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void writes_do_not_leak_between_an_original_and_its_clone(void **state)
{
	struct explore x = begin("clone", 7);

	(void)state;
	x.clone = true;
	x.first[x.nfirst++] = map(0, 4, EPT_PRESENT, EPT_RWX, 0);
	x.first[x.nfirst++] = map(4, 8, EPT_ABSENT, EPT_RWX, 0);
	add_range(&x, STEP_CLONE, 0, 8);
	x.step[x.nsteps - 1].write = true;
	add_range(&x, STEP_CLONE, 1, 6);
	x.step[x.nsteps - 1].write = true;
	add_range(&x, STEP_CLONE, 0, 8);
	add_range(&x, STEP_CLONE_UNMAP, 0, PAGES);
	add_at(&x, STEP_CLONE_COPY, 1, 0);
	add_at(&x, STEP_CLONE_FILL, 5, 0);
	add_at(&x, STEP_COPY, 1, 0);
	add_at(&x, STEP_COPY, 2, 0);
	for (unsigned int way = 0; way < 2; way++) {
		add_at(&x, STEP_CLONE_TOUCH, 1, 0);
		x.step[x.nsteps - 1].way = (uint8_t)way;
		x.step[x.nsteps - 1].write = true;
	}
	add_touches(&x, 1, true, 3);
	add_resolves(&x, 1, true);
	add_reaches(&x, 1);
	add_at(&x, STEP_ARRIVE, 5, PG_LEVEL_4K);
	add_range(&x, STEP_DISCARD, 2, 3);
	add_at(&x, STEP_FILL_ZERO, 2, PG_LEVEL_4K);
	add_protect(&x, 1, 2, EPT_R);
	add_protect(&x, 1, 2, EPT_RWX);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_FREEZE, 1, PG_LEVEL_4K);
	add_thaws(&x);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
	assert_true(x.failures > 1000);
}

static void copies_under_tracking(void **state)
{
	struct explore x = begin("tracked clone", 9);

	(void)state;
	x.clone = true;
	x.plain = true;
	x.first[x.nfirst++] = map(0, 4, EPT_PRESENT, EPT_RWX, 0);
	add_tracking(&x, true);
	add_range(&x, STEP_CLONE, 0, 4);
	x.step[x.nsteps - 1].write = true;
	add_range(&x, STEP_CLONE_UNMAP, 0, PAGES);
	add_at(&x, STEP_CLONE_COPY, 1, 0);
	add_at(&x, STEP_COPY, 1, 0);
	add_touches(&x, 1, true, 3);
	add_resolves(&x, 1, true);
	add_reaches(&x, 1);
	add_range(&x, STEP_DISCARD, 1, 2);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

/* --- execution -----------------------------------------------------------------------------------
 */

static void add_fetches(struct explore *x, unsigned int gfn, unsigned int ways)
{
	for (unsigned int way = 0; way < ways; way++) {
		add_at(x, STEP_FETCH, gfn, 0);
		x->step[x->nsteps - 1].way = (uint8_t)way;
	}
}

static void add_recovery(struct explore *x, unsigned int gfn, unsigned int end, unsigned int budget)
{
	add_range(x, STEP_RECOVER_NX, gfn, end);
	x->step[x->nsteps - 1].level = (uint8_t)budget;
}

static void no_fetch_goes_through_a_large_leaf(void **state)
{
	struct explore x = begin("execute", 8);

	(void)state;
	x.nx = true;
	x.first[x.nfirst++] = map(0, PAGES, EPT_PRESENT, EPT_RWX, 0);
	add_fetches(&x, 1, 3);
	add_fetches(&x, 5, 2);
	add_resolves(&x, 1, false);
	add_resolves(&x, 5, false);
	add_touches(&x, 1, true, 3);
	add_recovery(&x, 0, PAGES, 1);
	add_recovery(&x, 4, PAGES, 3);
	add_recovery(&x, 1, 9, 2);
	add_at(&x, STEP_SPLIT, 1, PG_LEVEL_4K);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_2M);
	add_at(&x, STEP_COLLAPSE, 0, PG_LEVEL_1G);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_protect(&x, 0, 4, EPT_R | EPT_W);
	add_protect(&x, 0, 4, EPT_RWX);
	add(&x, STEP_SYNC);
	add_late_writes(&x, 1, 3);
	assert_true(explore(&x));
	assert_true(x.states > 1000);
}

static void arrivals_in_large_pieces_are_not_executed(void **state)
{
	struct explore x = begin("execute arrivals", 40);

	(void)state;
	x.nx = true;
	x.first[x.nfirst++] = map(0, PAGES, EPT_ABSENT, EPT_RWX, 0);
	add_at(&x, STEP_ARRIVE, 1, PG_LEVEL_4K);
	add_at(&x, STEP_ARRIVE, 4, PG_LEVEL_2M);
	add_range(&x, STEP_ARRIVE_ALL, 0, PAGES);
	add_fetches(&x, 1, 2);
	add_resolves(&x, 1, false);
	add_recovery(&x, 0, PAGES, 2);
	add_range(&x, STEP_COLLAPSE_RANGE, 0, PAGES);
	add_at(&x, STEP_FREEZE, 0, PG_LEVEL_2M);
	add_thaws(&x);
	add(&x, STEP_SYNC);
	assert_true(explore(&x));
	assert_true(x.whole);
}

/* test_ept_explore [PATTERN] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrivals_claims_and_collapses),
		cmocka_unit_test(rights_outlive_splits_and_collapses),
		cmocka_unit_test(rights_of_what_has_not_arrived),
		cmocka_unit_test(what_is_discarded_is_zero_and_never_asked_for),
		cmocka_unit_test(what_is_discarded_is_reached_no_more),
		cmocka_unit_test(moves_at_mixed_granularity),
		cmocka_unit_test(stale_ways_to_what_was_moved),
		cmocka_unit_test(no_write_is_missed_by_dirty_bits),
		cmocka_unit_test(no_write_is_missed_by_faults),
		cmocka_unit_test(arrivals_under_tracking),
		cmocka_unit_test(arrivals_under_tracking_by_faults),
		cmocka_unit_test(what_is_frozen_stands_still_for_all_others),
		cmocka_unit_test(nobody_reaches_the_old_frame_after_the_sync),
		cmocka_unit_test(writes_do_not_leak_between_an_original_and_its_clone),
		cmocka_unit_test(copies_under_tracking),
		cmocka_unit_test(no_fetch_goes_through_a_large_leaf),
		cmocka_unit_test(arrivals_in_large_pieces_are_not_executed),
		cmocka_unit_test(maps_unmaps_and_poison_of_parts),
		cmocka_unit_test(hardware_that_remembers_all_it_may),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("every sequence on the toy geometry", tests, NULL, NULL);
}
