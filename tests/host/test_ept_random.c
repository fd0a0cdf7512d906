/* SPDX-License-Identifier: MIT */
/*
 * Long random streams of operations against the reference, on the toy geometry, where every page is
 * compared after every step, and on the real ones, where the pages around the step are, and the
 * counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/host/model/toy.h"
#include "tests/host/model/world.h"

#define KEPT 24 /* steps that are told when something is wrong */

struct stream {
	struct world w;
	uint64_t random; /* state of the generator */
	uint64_t seed;
	struct step last[KEPT];
	struct step collapse; /* comes after the touch, if it is one */
	uint64_t done;        /* steps */
	uint64_t epoch;       /* steps from one fresh region to the next */
	uint64_t count[STEP_CODES];
};

static struct stream stream;
static int64_t late_bits; /* of all streams */

/* xorshift64*: the same stream on every machine. */
static uint64_t draw(struct stream *s, uint64_t below)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return ((s->random * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % below;
}

/* What kind of world it is goes by the seed: 1: large leaves cannot be executed; 2: no accessed and
 * dirty bits; and the toy geometry's have clones. */
static void begin(struct stream *s, const struct ept_format *fmt, uint64_t npages, uint64_t seed)
{
	*s = (struct stream){ .seed = seed, .random = seed };
	s->epoch = npages <= 64 ? 100 : 300;
	/* Twice the pages, and room for a backing that is not aligned. */
	world_init(&s->w, fmt, PG_LEVEL_1G, npages, 2 * npages + 2, 2000);
	if (seed & 1)
		world_set_nx(&s->w);
	if (seed & 2)
		world_set_plain(&s->w);
	if (npages <= 64)
		world_add_clone(&s->w);
}

static void tell(const struct stream *s)
{
	uint64_t n = MIN(s->done, (uint64_t)KEPT);
	char buf[160];

	print_error("seed %lu, step %lu: %s\n", (long)s->seed, (long)s->done, s->w.fault);
	for (uint64_t i = s->done - n; i < s->done; i++)
		print_error("  %s\n", step_text(&s->last[i % KEPT], buf, sizeof(buf)));
}

/* How often what happens, in proportion, and to pages of which kind as a rule. */
static const struct {
	uint8_t code;
	uint8_t weight;
	uint8_t kind;
} odds[] = {
	{ STEP_MAP, 10, EPT_NONE },
	{ STEP_UNMAP, 4, EPT_PRESENT },
	{ STEP_REQUEST, 12, EPT_ABSENT },
	{ STEP_ARRIVE, 40, EPT_ABSENT },
	{ STEP_ARRIVE_ALL, 6, EPT_ABSENT },
	{ STEP_FILL, 8, EPT_ABSENT },
	{ STEP_PUBLISH, 6, EPT_NONE },
	{ STEP_GIVE_UP, 4, EPT_NONE },
	{ STEP_SPLIT, 8, EPT_PRESENT },
	{ STEP_COLLAPSE, 24, EPT_PRESENT },
	{ STEP_COLLAPSE_RANGE, 10, EPT_PRESENT },
	{ STEP_POISON, 1, EPT_PRESENT },
	{ STEP_TOUCH, 80, EPT_PRESENT },
	{ STEP_SYNC, 12, EPT_NONE },
	{ STEP_PROTECT, 3, EPT_PRESENT },
	{ STEP_DISCARD, 3, EPT_PRESENT },
	{ STEP_FILL_ZERO, 6, EPT_ABSENT },
	{ STEP_POISON_RANGE, 1, EPT_PRESENT },
	{ STEP_MOVE, 3, EPT_PRESENT },
	{ STEP_SPLIT_RANGE, 2, EPT_PRESENT },
	{ STEP_TRACK, 2, EPT_PRESENT },
	{ STEP_COLLECT, 6, EPT_PRESENT },
	{ STEP_UNTRACK, 6, EPT_PRESENT },
	{ STEP_FETCH, 10, EPT_PRESENT },
	{ STEP_RESOLVE, 10, EPT_PRESENT },
	{ STEP_REACH, 6, EPT_PRESENT },
	{ STEP_FREEZE, 8, EPT_PRESENT },
	{ STEP_THAW, 12, EPT_NONE },
	{ STEP_COPY, 20, EPT_PRESENT },
	{ STEP_RECOVER_NX, 3, EPT_PRESENT },
	{ STEP_CLONE, 8, EPT_PRESENT },
	{ STEP_CLONE_UNMAP, 2, EPT_PRESENT },
	{ STEP_CLONE_TOUCH, 10, EPT_PRESENT },
	{ STEP_CLONE_COPY, 20, EPT_PRESENT },
	{ STEP_CLONE_FILL, 8, EPT_ABSENT },
};

/* Few places, at the edges of tables, so that steps meet. */
static uint32_t draw_place(struct stream *s)
{
	const struct ept_format *fmt = s->w.ref.fmt;
	uint64_t middle = fmt_frames(fmt, PG_LEVEL_2M), large = fmt_frames(fmt, PG_LEVEL_1G);
	uint64_t gfn;

	if (s->w.ref.npages <= 64)
		return (uint32_t)draw(s, s->w.ref.npages);
	gfn = draw(s, 2) * large + draw(s, 4) * middle;
	if (draw(s, 4) == 0)
		gfn += large - 4 * middle;
	gfn += draw(s, 2) ? draw(s, 4) : middle - 1 - draw(s, 4);
	return (uint32_t)gfn;
}

/* A place that holds what the step wants; one time in eight, and where there is none, any. */
static uint32_t draw_gfn(struct stream *s, enum ept_kind kind)
{
	uint32_t gfn = draw_place(s);

	for (int i = 0; i < 8 && s->w.ref.page[gfn].kind != kind && draw(s, 8); i++)
		gfn = draw_place(s);
	return gfn;
}

/* Pieces of each level, and odd ones. */
static uint32_t draw_frames(struct stream *s, uint32_t gfn)
{
	const struct ept_format *fmt = s->w.ref.fmt;
	uint64_t n = fmt_frames(fmt, (enum pg_level)(PG_LEVEL_4K + draw(s, 3)));

	n = draw(s, 2) ? n : 1 + draw(s, 2 * n);
	return (uint32_t)MIN(n, s->w.ref.npages - gfn);
}

static uint64_t all_odds(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(odds); i++)
		sum += odds[i].weight;
	return sum;
}

/* All of it in the end, so that tracking ends and tables can collapse again; or large parts. */
static void widen(struct stream *s, struct step *t)
{
	if (t->code != STEP_UNTRACK && (t->code != STEP_TRACK || draw(s, 2)) &&
	    (t->code != STEP_CLONE_UNMAP || draw(s, 2)) && t->code != STEP_RECOVER_NX)
		return;
	t->gfn = 0;
	t->frames = (uint32_t)s->w.ref.npages;
}

/* A table's worth, where each page is looked at one by one. */
static void bound(const struct stream *s, struct step *t)
{
	const uint64_t n = fmt_frames(s->w.ref.fmt, PG_LEVEL_2M);

	if (s->w.ref.npages > 64 &&
	    (t->code == STEP_TRACK || t->code == STEP_SPLIT_RANGE || t->code == STEP_MOVE)) {
		t->frames = (uint32_t)MIN((uint64_t)t->frames, 2 * n);
	}
}

static struct step draw_step(struct stream *s)
{
	const struct ept_format *fmt = s->w.ref.fmt;
	uint64_t at = draw(s, all_odds()), i = 0;
	struct step t = { .memtype = EPT_WB };

	while (at >= odds[i].weight)
		at -= odds[i++].weight;
	t.code = odds[i].code;
	t.level = (uint8_t)(draw(s, 2) ? PG_LEVEL_4K : PG_LEVEL_4K + draw(s, 3));
	if (t.code == STEP_COLLAPSE && t.level == PG_LEVEL_4K)
		t.level = PG_LEVEL_2M;
	t.gfn = draw_gfn(s, (enum ept_kind)odds[i].kind);
	if (draw(s, 2) || t.code == STEP_ARRIVE || t.code == STEP_FILL)
		t.gfn = (uint32_t)ALIGN_DOWN(t.gfn, fmt_frames(fmt, (enum pg_level)t.level));
	t.frames = draw_frames(s, t.gfn);
	t.kind = draw(s, 4) ? EPT_ABSENT : EPT_PRESENT;
	t.perms = draw(s, 8) ? EPT_RWX : EPT_R | (draw(s, 2) ? EPT_X : EPT_W);
	t.backing = t.gfn;
	if (draw(s, 16) == 0)
		t.backing += (uint32_t)s->w.ref.npages + 1;
	t.write = draw(s, t.code == STEP_TOUCH ? 4 : 2) == 0;
	t.also = draw_gfn(s, t.code == STEP_MOVE ? EPT_NONE : EPT_PRESENT);
	t.way = (uint8_t)draw(s, 6);
	/* A clone of much, so that pages are found that are in both. */
	if (t.code == STEP_CLONE) {
		t.gfn = 0;
		t.frames = (uint32_t)MIN(UINT64_C(64), s->w.ref.npages);
		t.write = draw(s, 4);
	}
	if (t.code == STEP_FREEZE)
		t.gfn = (uint32_t)ALIGN_DOWN(t.gfn, fmt_frames(fmt, (enum pg_level)t.level));
	bound(s, &t);
	widen(s, &t);
	return t;
}

/* Now and then all begins anew: one region, as large as can be, nothing of it here. */
static bool renew(struct stream *s)
{
	const uint32_t n = (uint32_t)s->w.ref.npages;
	const struct step steps[] = {
		{ .code = STEP_GIVE_UP },
		{ .code = STEP_THAW },
		{ .code = STEP_UNTRACK, .frames = n },
		{ .code = STEP_CLONE_UNMAP, .frames = n },
		{ .code = STEP_SYNC },
		{ .code = STEP_UNMAP, .frames = n },
		{ .code = STEP_SYNC },
		{ .code = STEP_MAP,
		  .frames = n,
		  .kind = EPT_ABSENT,
		  .perms = EPT_RWX,
		  .memtype = EPT_WB },
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (world_allows(&s->w, &steps[i]) && !world_step(&s->w, &steps[i]))
			return false;
	return true;
}

/* CPUs walk by a table, it collapses, and they write by the pointer that they remember. */
static void follow(struct stream *s, struct step *t)
{
	const struct step *last = &s->last[(s->done - 1) % KEPT];

	if (t->code == STEP_COLLAPSE && draw(s, 2)) {
		s->collapse = *t;
		*t = (struct step){ .code = STEP_TOUCH, .gfn = t->gfn };
	} else if (s->done && last->code == STEP_TOUCH && s->collapse.code == STEP_COLLAPSE) {
		*t = s->collapse;
		s->collapse.code = STEP_TOUCH;
	} else if (s->done && last->code == STEP_COLLAPSE && draw(s, 2)) {
		*t = (struct step){ .code = STEP_SYNC,
				    .also = last->gfn,
				    .write = true,
				    .way = (uint8_t)draw(s, 4) };
	}
}

static bool run(struct stream *s, uint64_t steps, uint64_t whole_every)
{
	while (s->done < steps) {
		struct step t = draw_step(s);
		gfn_t near = t.gfn > 8 ? t.gfn - 8 : 0;

		if (s->done % s->epoch == 0 && !renew(s))
			return false;
		follow(s, &t);
		if (s->w.gather.n > 40)
			t = (struct step){ .code = STEP_SYNC };
		if (!world_allows(&s->w, &t))
			continue;
		s->last[s->done++ % KEPT] = t;
		s->count[t.code]++;
		if (!world_step(&s->w, &t) || !world_verify_range(&s->w, near, 16) ||
		    !world_verify_tables(&s->w))
			return false;
		if (s->done % whole_every == 0 && !world_verify(&s->w))
			return false;
	}
	if (s->w.claimed && !world_step(&s->w, &(struct step){ .code = STEP_GIVE_UP }))
		return false;
	if (s->w.is_frozen && !world_step(&s->w, &(struct step){ .code = STEP_THAW }))
		return false;
	return world_verify(&s->w);
}

static void check_stream(const struct ept_format *fmt, uint64_t npages, uint64_t seed,
			 uint64_t steps, uint64_t whole_every)
{
	struct stream *s = &stream;
	struct ept_stats sum;

	begin(s, fmt, npages, seed);
	if (!run(s, steps, whole_every)) {
		tell(s);
		world_free(&s->w);
		fail();
	}
	ept_stats_sum(&s->w.ept, &sum);
	printf("# %s, seed %lu: %lu steps; arrivals %ld, splits %ld absent, %ld present, collapses %ld, "
	       "late bits %ld, moved %ld, relocated %ld, write faults %ld, nx splits %ld, cloned "
	       "%ld\n",
	       fmt->name, (unsigned long)seed, (unsigned long)s->done, (long)sum.arrivals,
	       (long)sum.splits_absent, (long)sum.splits_present, (long)sum.collapses,
	       (long)sum.late_bits, (long)sum.moved, (long)sum.relocated, (long)sum.write_faults,
	       (long)sum.nx_splits, (long)sum.cloned);
	/* A stream in which nothing happened would prove nothing. */
	for (int code = 0; code < (s->w.has_clone ? STEP_CODES : STEP_COPY); code++) {
		if (s->count[code] <= steps / 5000)
			print_error("step code %d was done %lu times\n", code,
				    (unsigned long)s->count[code]);
		assert_true(s->count[code] > steps / 5000);
	}
	assert_true(sum.collapses > (int64_t)steps / 500);
	assert_true(sum.splits_present > (int64_t)steps / 500);
	assert_true(sum.duplicates > (int64_t)steps / 500);
	late_bits += sum.late_bits;
	assert_true(sum.moved > 0 && sum.relocated > 0 && sum.discarded > 0);
	assert_true(sum.nx_splits > 0 || !s->w.ref.nx);
	world_fini(&s->w);
	assert_string_equal(s->w.fault, "");
}

static void streams_on_the_toy_geometry_agree_with_the_reference(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		check_stream(&ept_format_toy, 64, seed, 10000, 1);
	assert_true(late_bits > 0); /* they are rare: a stream has few or none */
}

static void streams_on_the_real_geometries_agree_with_the_reference(void **state)
{
	(void)state;
	check_stream(&ept_format_amd, 2 * 512 * 512, 10, 5000, 2500);
	for (uint64_t seed = 11; seed <= 12; seed++)
		check_stream(&ept_format_intel, 2 * 512 * 512, seed, 5000, 2500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_on_the_toy_geometry_agree_with_the_reference),
		cmocka_unit_test(streams_on_the_real_geometries_agree_with_the_reference),
	};

	return cmocka_run_group_tests_name("random streams", tests, NULL, NULL);
}
