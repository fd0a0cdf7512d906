/* SPDX-License-Identifier: MIT */
/*
 * What must hold on the real geometry where ranges are protected, discarded, lost, moved, split and
 * cloned. Each test's name is the claim.
 */
#include "ept/access.h"
#include "ept/range.h"
#include "ept/relocate.h"
#include "ept/track.h"
#include "tests/host/ept_case.h"

static struct ept_cpu *me(void)
{
	return ept_cpu(&w.ept, 0);
}

static void sync_now(void)
{
	ept_sync(&w.gather);
}

static void protect(unsigned int gfn, unsigned int frames, unsigned int perms)
{
	step((struct step){
		.code = STEP_PROTECT, .gfn = gfn, .frames = frames, .perms = (uint8_t)perms });
}

static void move(unsigned int from, unsigned int frames, unsigned int to)
{
	step((struct step){ .code = STEP_MOVE, .gfn = from, .frames = frames, .also = to });
}

/* Why the entry of `level` around gfn became a table. */
static unsigned int why(gfn_t gfn, enum pg_level level)
{
	uint64_t path[PG_LEVEL_MAX];
	const struct frame *f;

	ept_path(&w.ept, gfn, path);
	f = frame_of(&w.pool, hpa(path[level] & format->addr));
	return ((const struct ept_table *)&f->owner)->why;
}

/* 1 GiB, 512 MiB, 256 MiB, ... 4 KiB, the last 4 KiB left out. */
static void climb(void)
{
	uint64_t frames = F_1G;
	gfn_t gfn = 0;

	for (; frames; frames /= 2) {
		enum pg_level level = frames >= F_1G   ? PG_LEVEL_1G
				      : frames >= F_2M ? PG_LEVEL_2M
						       : PG_LEVEL_4K;
		gfn_t stop = gfn + frames;

		for (; gfn < stop; gfn += level_frames(level))
			at(STEP_ARRIVE, (unsigned int)gfn, level);
	}
}

/* --- poison --- */

static void a_lost_2m_is_lost_at_each_of_its_pages_and_stays_so(void **state)
{
	struct ept_collapse_result r;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	range(STEP_POISON_RANGE, F_2M, F_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(ept_lookup(&w.ept, F_2M).level, PG_LEVEL_2M);
	assert_int_equal(stats()->poisoned, F_2M);
	for (unsigned int gfn = F_2M; gfn < 2 * F_2M; gfn++)
		assert_int_equal(ept_resolve(me(), gfn, EPT_R, &w.gather), EPT_LOST);
	assert_int_equal(ept_resolve(me(), F_2M - 1, EPT_R, &w.gather), 0);
	assert_int_equal(ept_resolve(me(), 2 * F_2M, EPT_R, &w.gather), 0);
	/* Its neighbours collapse. */
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	ept_collapse_range(me(), 0, F_1G, &w.gather, &r);
	assert_int_equal(r.collapsed, 1);
	assert_int_equal(r.refused[ept_nr(EPT_LOST)], 1);
	assert_int_equal(ept_collapse(me(), 0, PG_LEVEL_1G, &w.gather), EPT_LOST);
	assert_int_equal(ept_lookup(&w.ept, 2 * F_2M - 1).kind, EPT_POISON);
	sync_now();
	w.ref.page[0].level = PG_LEVEL_2M; /* so the collapse is known to the reference, too */
	for (unsigned int gfn = 0; gfn < F_2M; gfn++)
		w.ref.page[gfn].level = PG_LEVEL_2M;
	verify();
}

static void three_lost_pages_leave_all_others_readable(void **state)
{
	const unsigned int lost[] = { 0, 128, 256 };
	struct ept_state leaf;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	for (unsigned int i = 0; i < 3; i++)
		at(STEP_POISON, lost[i], PG_LEVEL_NONE);
	assert_int_equal(stats()->poisoned, 3);
	assert_int_equal(why(0, PG_LEVEL_2M), EPT_WHY_POISON);
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	for (unsigned int gfn = 0; gfn < F_1G; gfn++)
		assert_int_equal(tlb_peek(&w.ept, gfn, &leaf),
				 gfn == 0 || gfn == 128 || gfn == 256 ? TLB_VIOLATION : TLB_HIT);
	assert_int_equal(stats()->refused[ept_nr(EPT_LOST)], 1);
	verify();
}

static void a_lost_page_that_was_absent_and_read_only_is_lost_alone(void **state)
{
	(void)state;
	map(0, F_1G, EPT_ABSENT);
	protect(7, 1, EPT_R);
	at(STEP_POISON, 7, PG_LEVEL_NONE);
	assert_int_equal(ept_resolve(me(), 7, EPT_W, &w.gather), EPT_LOST);
	assert_int_equal(ept_resolve(me(), 6, EPT_R, &w.gather), EPT_NOT_HERE);
	assert_int_equal(ept_resolve(me(), 8, EPT_R, &w.gather), EPT_NOT_HERE);
	assert_int_equal(ept_request(me(), 7), EPT_LOST);
	assert_false(w.gather.owed);
	verify();
}

/* --- rights --- */

static void write_protection_survives_the_ladder_and_a_page_that_never_came(void **state)
{
	struct ept_state s;

	(void)state;
	map(0, 2 * F_1G, EPT_ABSENT);
	protect(0, 2 * F_1G, EPT_R | EPT_X);
	climb();
	for (gfn_t gfn = 0; gfn < 2 * F_1G; gfn += 511)
		assert_int_equal(ept_lookup(&w.ept, gfn).perms, EPT_R | EPT_X);
	s = ept_lookup(&w.ept, 2 * F_1G - 1);
	assert_int_equal(s.kind, EPT_ABSENT);
	assert_int_equal(s.perms, EPT_R | EPT_X);
	assert_int_equal(ept_resolve(me(), 5, EPT_W, &w.gather), EPT_FORBIDDEN);
	assert_int_equal(w.flushes, 0);
	assert_false(w.gather.owed);
	verify();
}

static void lost_rights_owe_a_flush_and_gained_ones_do_not(void **state)
{
	(void)state;
	map(0, F_1G, EPT_PRESENT);
	protect(0, F_1G, EPT_R);
	assert_true(w.gather.owed);
	assert_leaves(1, 0, 0, 2);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	protect(0, F_1G, EPT_RWX);
	assert_false(w.gather.owed);
	protect(5, 1, EPT_R);
	assert_int_equal(why(5, PG_LEVEL_2M), EPT_WHY_ASKED);
	assert_leaves(0, 511, 512, 4);
	/* What differs does not collapse; what is alike again does. */
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	assert_int_equal(stats()->refused[ept_nr(EPT_MIXED)], 1);
	protect(5, 1, EPT_RWX);
	at(STEP_COLLAPSE, 0, PG_LEVEL_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(1, 0, 0, 2);
	verify();
}

static void ranges_that_make_no_sense_are_refused(void **state)
{
	const uint64_t space = UINT64_C(1) << 36;

	(void)state;
	map(0, F_2M, EPT_PRESENT);
	assert_int_equal(ept_protect(me(), 0, 0, EPT_R, &w.gather), EPT_INVALID);
	assert_int_equal(ept_protect(me(), space - 1, 2, EPT_R, &w.gather), EPT_INVALID);
	assert_int_equal(ept_protect(me(), UINT64_MAX, 2, EPT_R, &w.gather), EPT_INVALID);
	assert_int_equal(ept_protect(me(), 0, 1, 0, &w.gather), EPT_INVALID);
	assert_int_equal(ept_protect(me(), 0, 1, EPT_W, &w.gather), EPT_INVALID);
	assert_int_equal(ept_protect(me(), 0, 1, 8 | EPT_R, &w.gather), EPT_INVALID);
	assert_int_equal(ept_discard(me(), 0, 0, &w.gather), EPT_INVALID);
	assert_int_equal(ept_poison_range(me(), space, 1, &w.gather), EPT_INVALID);
	assert_int_equal(ept_move(me(), 0, 1, 2, &w.gather), EPT_INVALID);
	assert_int_equal(ept_move(me(), 0, space, 1, &w.gather), EPT_INVALID);
	assert_int_equal(ept_move(me(), F_2M, 0, F_2M, &w.gather), EPT_HERE);
	/* Holes are fine, and all of the address space is a range. */
	assert_int_equal(ept_protect(me(), 5 * F_1G, F_1G, EPT_R, &w.gather), 0);
	assert_int_equal(ept_discard(me(), 5 * F_1G, F_1G, &w.gather), 0);
	assert_false(w.gather.owed);
	verify();
}

/* --- discarding --- */

static void a_page_discarded_in_a_gib_reads_zero_and_its_neighbours_stay(void **state)
{
	const unsigned int gone = 100 * F_2M + 50;
	struct ept_claim claim;
	struct ept_state leaf;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	touch(gone, true, 0);
	range(STEP_DISCARD, gone, 1);
	assert_int_equal(ept_request(me(), gone), EPT_DISCARDED);
	assert_int_equal(ept_fill(me(), gone, PG_LEVEL_4K, &claim), EPT_DISCARDED);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	for (gfn_t gfn = 0; gfn < F_1G; gfn++)
		assert_int_equal(tlb_peek(&w.ept, gfn, &leaf),
				 gfn == gone ? TLB_VIOLATION : TLB_HIT);
	at(STEP_FILL_ZERO, gone, PG_LEVEL_4K);
	assert_int_equal(w.memory[gone], CONTENT_ZERO);
	touch(gone, false, 0);
	assert_int_equal(stats()->discarded, 1);
	/* Back in place, for the frame stayed. */
	at(STEP_COLLAPSE, gone, PG_LEVEL_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(1, 0, 0, 2);
	verify();
}

static void what_arrives_for_a_discarded_page_is_void(void **state)
{
	struct ept_claim claim;

	(void)state;
	map(0, F_1G, EPT_ABSENT);
	at(STEP_REQUEST, 9, PG_LEVEL_NONE);
	range(STEP_DISCARD, 8, 4);
	assert_false(w.gather.owed);
	assert_int_equal(ept_fill(me(), 9, PG_LEVEL_4K, &claim), EPT_DISCARDED);
	assert_int_equal(ept_fill(me(), 0, PG_LEVEL_2M, &claim), EPT_SMALLER);
	assert_int_equal(ept_request(me(), 9), EPT_DISCARDED);
	at(STEP_ARRIVE, 12, PG_LEVEL_4K);
	range(STEP_DISCARD, F_2M, F_2M);
	/* In one piece, and only its pieces are zeros after a split. */
	at(STEP_SPLIT, F_2M, PG_LEVEL_4K);
	assert_int_equal(ept_fill(me(), F_2M + 5, PG_LEVEL_4K, &claim), EPT_DISCARDED);
	at(STEP_FILL_ZERO, F_2M + 5, PG_LEVEL_4K);
	verify();
}

static void a_discard_waits_for_nobody_who_froze(void **state)
{
	struct ept_frozen f;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	at(STEP_FREEZE, 5, PG_LEVEL_4K);
	f = w.frozen;
	assert_int_equal(ept_discard(me(), 0, 10, &w.gather), EPT_BUSY);
	assert_int_equal(ept_protect(me(), 5, 1, EPT_R, &w.gather), EPT_BUSY);
	assert_int_equal(ept_poison_range(me(), 0, F_1G, &w.gather), EPT_BUSY);
	assert_int_equal(ept_unmap(me(), 0, F_1G, &w.gather), EPT_BUSY);
	assert_int_equal(ept_move(me(), 0, F_1G, F_1G, &w.gather), EPT_BUSY);
	assert_int_equal(ept_split(me(), 5, PG_LEVEL_4K, EPT_WHY_ASKED, &w.gather), EPT_BUSY);
	assert_int_equal(ept_freeze(me(), 5, PG_LEVEL_4K, EPT_WHY_COW, &f, &w.gather), EPT_BUSY);
	assert_int_equal(ept_collapse(me(), 5, PG_LEVEL_2M, &w.gather), EPT_BUSY);
	assert_int_equal(ept_poison(me(), 5, &w.gather), EPT_BUSY);
	assert_int_equal(ept_request(me(), 5), EPT_BUSY);
	assert_int_equal(ept_resolve(me(), 5, EPT_R, &w.gather), EPT_BUSY);
	/* Its neighbours are nobody's. */
	range(STEP_DISCARD, 0, 5);
	range(STEP_DISCARD, 6, 5);
	at(STEP_THAW, 0, PG_LEVEL_NONE);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	verify();
}

/* --- moving --- */

static void a_mapped_gib_moves_at_its_granularity_and_the_old_range_faults(void **state)
{
	const unsigned int from = 0, to = F_1G;

	(void)state;
	map(from, F_1G, EPT_ABSENT);
	at(STEP_ARRIVE, 0, PG_LEVEL_2M);
	at(STEP_ARRIVE, F_2M + 3, PG_LEVEL_4K);
	touch(F_2M + 3, true, 0);
	at(STEP_REQUEST, F_2M + 4, PG_LEVEL_NONE);
	at(STEP_POISON, F_2M + 5, PG_LEVEL_NONE);
	range(STEP_DISCARD, F_2M + 6, 1);
	move(from, F_1G, to);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(ept_lookup(&w.ept, to + 9).level, PG_LEVEL_2M);
	assert_int_equal(ept_lookup(&w.ept, to + F_2M + 3).level, PG_LEVEL_4K);
	assert_true(ept_lookup(&w.ept, to + F_2M + 3).dirty);
	assert_false(ept_lookup(&w.ept, to + F_2M + 4).requested);
	assert_int_equal(ept_lookup(&w.ept, to + F_2M + 5).kind, EPT_POISON);
	assert_true(ept_lookup(&w.ept, to + F_2M + 6).zero);
	assert_int_equal(ept_resolve(me(), from + 9, EPT_R, &w.gather), EPT_UNMAPPED);
	assert_int_equal(ept_request(me(), from + F_2M + 4), EPT_UNMAPPED);
	touch(to + F_2M + 3, false, 0);
	assert_int_equal(ept_lookup(&w.ept, from).level, PG_LEVEL_1G);
	verify();
}

static void a_move_to_an_odd_distance_makes_small_pieces(void **state)
{
	(void)state;
	map(0, 2 * F_2M, EPT_PRESENT);
	move(0, 2 * F_2M, F_1G + 1);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(0, 0, 2 * F_2M, 6);
	assert_int_equal(stats()->moved, 2 * F_2M);
	/* And back: what is contiguous and aligned can collapse. */
	move(F_1G + 1, 2 * F_2M, 0);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	range(STEP_COLLAPSE_RANGE, 0, F_1G);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_leaves(0, 2, 0, 3);
	verify();
}

/* The first pages have a place when the last ones find no table for theirs. */
static void a_move_that_finds_no_table_keeps_what_was_asked_for(void **state)
{
	(void)state;
	map(0, 4, EPT_ABSENT);
	at(STEP_REQUEST, 1, PG_LEVEL_4K);
	w.allocs = 0;
	w.fail_at = 3;
	assert_int_equal(ept_move(me(), 0, F_1G - 2, 4, &w.gather), EPT_NO_TABLE);
	w.fail_at = 0;
	assert_true(ept_lookup(&w.ept, 1).requested);
	assert_int_equal(stats()->moved, 0);
	assert_leaves(0, 0, 0, 4);
	ept_sync(&w.gather);
	verify();
}

/* --- splitting, counting --- */

static void a_split_of_a_range_counts_what_it_could_not_by_reason(void **state)
{
	struct ept_split_result r;
	struct ept_claim claim;

	(void)state;
	map(0, 4 * F_2M, EPT_PRESENT);
	map(5 * F_2M, 3 * F_2M, EPT_ABSENT);
	range(STEP_POISON_RANGE, F_2M, F_2M);
	assert_int_equal(ept_fill(ept_cpu(&w.ept, 1), 6 * F_2M, PG_LEVEL_2M, &claim), 0);
	ept_split_range(me(), 0, 8 * F_2M, PG_LEVEL_4K, EPT_WHY_DIRTY, &w.gather, &r);
	assert_int_equal(r.split, 5);
	assert_int_equal(r.refused[ept_nr(EPT_LOST)], 1);
	assert_int_equal(r.refused[ept_nr(EPT_UNMAPPED)], 1);
	assert_int_equal(r.refused[ept_nr(EPT_BUSY)], 1);
	assert_int_equal(r.refused[ept_nr(EPT_NO_TABLE)], 0);
	assert_int_equal(why(0, PG_LEVEL_2M), EPT_WHY_DIRTY);
	ept_split_range(me(), 0, 8 * F_2M, PG_LEVEL_4K, EPT_WHY_DIRTY, &w.gather, &r);
	assert_int_equal(r.split, 0);
	ept_give_up(ept_cpu(&w.ept, 1), &claim);
	sync_now();
	/* Without tables the rest is counted, and goes on. */
	w.ntables = w.in_use;
	ept_split_range(me(), 6 * F_2M, F_2M, PG_LEVEL_4K, EPT_WHY_DIRTY, &w.gather, &r);
	w.ntables = TABLES;
	assert_int_equal(r.refused[ept_nr(EPT_NO_TABLE)], 1);
	assert_int_equal(r.split, 0);
}

static void each_small_table_remembers_why(void **state)
{
	gfn_t next = 6 * F_2M;
	struct ept_frozen f;

	(void)state;
	map(0, F_1G, EPT_PRESENT);
	map(F_1G, F_1G, EPT_ABSENT);
	at(STEP_ARRIVE, F_1G + 3, PG_LEVEL_4K);
	assert_int_equal(why(F_1G, PG_LEVEL_2M), EPT_WHY_ARRIVAL);
	at(STEP_SPLIT, 0, PG_LEVEL_4K);
	assert_int_equal(why(0, PG_LEVEL_2M), EPT_WHY_ASKED);
	at(STEP_POISON, F_2M, PG_LEVEL_NONE);
	assert_int_equal(why(F_2M, PG_LEVEL_2M), EPT_WHY_POISON);
	assert_int_equal(ept_freeze(me(), 4 * F_2M, PG_LEVEL_4K, EPT_WHY_COW, &f, &w.gather), 0);
	assert_int_equal(why(4 * F_2M, PG_LEVEL_2M), EPT_WHY_COW);
	(void)ept_thaw(me(), &f, f.was.frame);
	assert_int_equal(ept_track_begin(&w.ept, EPT_TRACK_DIRTY), 0);
	while (next < 7 * F_2M)
		assert_int_equal(ept_track_some(me(), &next, 7 * F_2M, 600, &w.gather), 0);
	assert_int_equal(why(6 * F_2M, PG_LEVEL_2M), EPT_WHY_DIRTY);
	sync_now();
}

static void a_census_in_steps_equals_one_at_once(void **state)
{
	(void)state;
	map(0, 2 * F_1G, EPT_ABSENT);
	climb();
	at(STEP_POISON, 77 + F_1G, PG_LEVEL_NONE);
	range(STEP_UNMAP, 3 * F_2M + 5, F_2M);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	for (unsigned int max = 1; max < 3000; max = 3 * max + 1) {
		struct ept_census at_once, steps = { 0 };
		gfn_t gfn = 0;

		ept_census(&w.ept, 0, 2 * F_1G, &at_once);
		while (gfn < 2 * F_1G) {
			struct ept_census before = steps;
			uint64_t n = 0;

			gfn = ept_census_some(&w.ept, gfn, 2 * F_1G, max, &steps);
			for (int k = 0; k < EPT_KINDS; k++)
				for (int l = 0; l < PG_LEVEL_MAX; l++)
					n += steps.kind[k][l] - before.kind[k][l];
			assert_in_range(n, 1, max);
		}
		for (int l = 0; l < PG_LEVEL_MAX; l++)
			at_once.kind[EPT_TABLE][l] = 0;
		assert_memory_equal(&steps, &at_once, sizeof(steps));
	}
}

/* --- cloning --- */

static void clone(unsigned int frames, bool private)
{
	step((struct step){ .code = STEP_CLONE, .frames = frames, .write = private });
}

static void a_clone_has_the_same_granularity_contents_and_hole(void **state)
{
	struct ept_census a, b;

	(void)state;
	world_add_clone(&w);
	map(0, 2 * F_1G, EPT_ABSENT);
	climb();
	clone(2 * F_1G, true);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	ept_census(&w.ept, 0, 2 * F_1G, &a);
	ept_census(&w.clone.ept, 0, 2 * F_1G, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(ept_lookup(&w.clone.ept, 2 * F_1G - 1).kind, EPT_ABSENT);
	/* It has no flag of an access. */
	assert_false(ept_lookup(&w.clone.ept, 0).accessed);
	at(STEP_CLONE_FILL, 2 * F_1G - 1, PG_LEVEL_NONE);
	verify();
}

static void writes_leak_neither_into_a_clone_nor_out_of_it(void **state)
{
	hpa_t frame;

	(void)state;
	world_add_clone(&w);
	map(0, 2 * F_2M, EPT_PRESENT);
	touch(5, true, 0);
	clone(2 * F_2M, true);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(ept_resolve(me(), 5, EPT_W, &w.gather), EPT_FOREIGN);
	assert_int_equal(ept_reach(me(), 5, EPT_W, &frame, &w.gather), EPT_FOREIGN);
	assert_int_equal(ept_reach(me(), 5, EPT_R, &frame, &w.gather), 0);
	w.ref.page[5].may |= REF_ACCESSED;
	w.ref.page[5].must |= REF_ACCESSED;
	for (unsigned int i = 0; i < F_2M; i++)
		w.ref.page[i].may |= REF_ACCESSED;
	at(STEP_CLONE_COPY, 5, PG_LEVEL_NONE);
	step((struct step){ .code = STEP_CLONE_TOUCH, .gfn = 5, .write = true });
	step((struct step){ .code = STEP_COPY, .gfn = 7 });
	touch(7, true, 0);
	w.memory[7 + w.half] = 99;
	w.ref.page[7].content = 99;
	assert_int_not_equal(w.memory[world_frame(ept_lookup(&w.clone.ept, 7).frame.v)], 99);
	touch(5, false, 0);
	assert_leaves(0, 1, F_2M, 4);
	verify();
}

static void a_shared_clone_of_what_is_private_is_refused(void **state)
{
	(void)state;
	world_add_clone(&w);
	map(0, F_2M, EPT_PRESENT);
	clone(F_2M, true);
	at(STEP_SYNC, 0, PG_LEVEL_NONE);
	assert_int_equal(ept_clone(me(), ept_cpu(&w.clone.ept, 0), 0, F_2M, EPT_PRIVATE, &w.gather),
			 EPT_HERE);
	range(STEP_CLONE_UNMAP, 0, F_2M);
	assert_int_equal(ept_clone(me(), ept_cpu(&w.clone.ept, 0), 0, F_2M, EPT_SHARED, &w.gather),
			 EPT_FOREIGN);
	assert_int_equal(ept_clone(me(), me(), 0, F_2M, EPT_SHARED, &w.gather), EPT_INVALID);
	verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_lost_2m_is_lost_at_each_of_its_pages_and_stays_so),
		CASE(three_lost_pages_leave_all_others_readable),
		CASE(a_lost_page_that_was_absent_and_read_only_is_lost_alone),
		CASE(write_protection_survives_the_ladder_and_a_page_that_never_came),
		CASE(lost_rights_owe_a_flush_and_gained_ones_do_not),
		CASE(ranges_that_make_no_sense_are_refused),
		CASE(a_page_discarded_in_a_gib_reads_zero_and_its_neighbours_stay),
		CASE(what_arrives_for_a_discarded_page_is_void),
		CASE(a_discard_waits_for_nobody_who_froze),
		CASE(a_mapped_gib_moves_at_its_granularity_and_the_old_range_faults),
		CASE(a_move_to_an_odd_distance_makes_small_pieces),
		CASE(a_move_that_finds_no_table_keeps_what_was_asked_for),
		CASE(a_split_of_a_range_counts_what_it_could_not_by_reason),
		CASE(each_small_table_remembers_why),
		CASE(a_census_in_steps_equals_one_at_once),
		CASE(a_clone_has_the_same_granularity_contents_and_hole),
		CASE(writes_leak_neither_into_a_clone_nor_out_of_it),
		CASE(a_shared_clone_of_what_is_private_is_refused),
	};

	return cmocka_run_group_tests_name("the second stage: ranges", tests, NULL, NULL);
}
