/* SPDX-License-Identifier: MIT */
/*
 * Single entries, and small trees of them. What hardware makes of an entry is written down in
 * tests/host/model/bits_*.c, from the manuals, not taken from ept/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ept/entry.h"
#include "mm/err.h"
#include "tests/host/model/bits.h"
#include "tests/host/model/toy.h"
#include "tests/host/model/world.h"

static const unsigned int intel_perms[] = { EPT_R, EPT_X, EPT_R | EPT_W, EPT_R | EPT_X, EPT_RWX };
/* Of the toy and of AMD: reading cannot be forbidden. */
static const unsigned int toy_perms[] = { EPT_R, EPT_R | EPT_W, EPT_R | EPT_X, EPT_RWX };
static const enum ept_memtype memtypes[] = { EPT_UC, EPT_WC, EPT_WT, EPT_WP, EPT_WB };
static const enum ept_kind kinds[] = { EPT_ABSENT, EPT_FILLING, EPT_POISON, EPT_FROZEN,
				       EPT_PRESENT };
/* In units of 1 GiB, so that each is aligned at every level: none, one, a high one, the last. */
static const uint64_t frames[] = { 0, 1, 0x155, (1u << 22) - 1 };

/* Calls visit() with each entry that can be, at levels 1 to 3. */
static void each_state(const struct ept_format *fmt, const unsigned int *perms, size_t nperms,
		       void (*visit)(const struct ept_format *, const struct ept_state *))
{
	size_t n = ARRAY_LEN(kinds) * 3 * nperms * ARRAY_LEN(memtypes) * ARRAY_LEN(frames) * 128;

	for (size_t i = 0; i < n; i++) {
		size_t rest = i / 128;
		struct ept_state s = {
			.requested = i & 1, .tracked = i & 2, .cow = i & 16, .zero = i & 32
		};

		s.kind = kinds[rest % ARRAY_LEN(kinds)];
		rest /= ARRAY_LEN(kinds);
		s.level = (enum pg_level)(PG_LEVEL_4K + rest % 3);
		rest /= 3;
		s.perms = perms[rest % nperms];
		rest /= nperms;
		s.memtype = memtypes[rest % ARRAY_LEN(memtypes)];
		rest /= ARRAY_LEN(memtypes);
		s.frame = hpa(frames[rest] * GIB);
		s.accessed = i & 4;
		s.dirty = i & 8;
		/* Flags that this kind has not; what is withheld is granted, and leaves something.
		 */
		if (s.kind == EPT_PRESENT) {
			s.requested = s.zero = false;
			s.withheld = s.perms & ((i & 32 ? EPT_W : 0) | (i & 64 ? EPT_X : 0));
			if (s.withheld == s.perms)
				s.withheld = 0;
		} else {
			s.accessed = s.dirty = false;
		}
		visit(fmt, &s);
	}
}

static void check_round_trip(const struct ept_format *fmt, const struct ept_state *s)
{
	struct ept_state back = entry_decode(fmt, entry_encode(fmt, s), s->level);

	assert_int_equal(back.kind, s->kind);
	assert_int_equal(back.level, s->level);
	assert_int_equal(back.frame.v, s->frame.v);
	assert_int_equal(back.perms, s->perms);
	assert_int_equal(back.memtype, s->memtype);
	assert_int_equal(back.requested, s->requested);
	assert_int_equal(back.tracked, s->tracked);
	assert_int_equal(back.withheld, s->withheld);
	assert_int_equal(back.zero, s->zero);
	assert_int_equal(back.cow, s->cow);
	assert_int_equal(back.accessed, s->accessed);
	assert_int_equal(back.dirty, s->dirty);
}

static void every_entry_decodes_to_what_was_encoded(void **state)
{
	(void)state;
	each_state(&ept_format_intel, intel_perms, ARRAY_LEN(intel_perms), check_round_trip);
	each_state(&ept_format_toy, toy_perms, ARRAY_LEN(toy_perms), check_round_trip);
	each_state(&ept_format_amd, toy_perms, ARRAY_LEN(toy_perms), check_round_trip);
}

static void check_hidden(const struct ept_format *fmt, const struct ept_state *s)
{
	uint64_t e = entry_encode(fmt, s);

	if (s->kind == EPT_PRESENT) {
		assert_true(e & 7);
		return;
	}
	assert_int_equal(e & 7, 0);
	/* L1TF: wherever the frame is, the address that stands there is the opposite. */
	assert_int_equal(((e >> 12) ^ (s->frame.v >> 12)) & 0xffffffffff, 0xffffffffff);
	assert_int_equal(entry_hidden_frame(e), s->frame.v);
}

static void
what_is_not_present_is_hidden_from_all_hardware_and_holds_its_frame_inverted(void **state)
{
	(void)state;
	each_state(&ept_format_intel, intel_perms, ARRAY_LEN(intel_perms), check_hidden);
	each_state(&ept_format_toy, toy_perms, ARRAY_LEN(toy_perms), check_hidden);
	each_state(&ept_format_amd, toy_perms, ARRAY_LEN(toy_perms), check_hidden);
}

static const struct hardware *hardware_of(const struct ept_format *fmt)
{
	return fmt == &ept_format_amd ? &hardware_amd : &hardware_intel;
}

static void check_read(const struct ept_format *fmt, const struct ept_state *s)
{
	const struct hardware *hw = hardware_of(fmt);
	uint64_t e = entry_encode(fmt, s);
	struct bits b = hw->read(e, s->level);

	if (s->kind != EPT_PRESENT) {
		assert_int_equal(b.sort, BITS_HIDDEN);
		return;
	}
	assert_ptr_equal(hw->wrong(e, s->level, 52), NULL);
	assert_int_equal(b.sort, BITS_LEAF);
	assert_int_equal(b.frame, s->frame.v);
	assert_int_equal(b.perms, s->perms & ~s->withheld);
	assert_int_equal(b.memtype, s->memtype);
	assert_int_equal(b.accessed, s->accessed);
	assert_int_equal(b.dirty, s->dirty);
}

static void intel_reads_in_every_leaf_what_was_encoded(void **state)
{
	(void)state;
	each_state(&ept_format_intel, intel_perms, ARRAY_LEN(intel_perms), check_read);
}

static void amd_reads_in_every_leaf_what_was_encoded(void **state)
{
	(void)state;
	each_state(&ept_format_amd, toy_perms, ARRAY_LEN(toy_perms), check_read);
}

static void amds_pat_bit_is_bit_7_of_a_small_leaf_and_bit_12_of_a_large_one(void **state)
{
	const struct ept_format *fmt = &ept_format_amd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(memtypes); i++) {
		bool high = memtypes[i] == EPT_WC || memtypes[i] == EPT_WP;

		assert_int_equal(field(fmt->leaf(PG_LEVEL_4K, EPT_RWX, memtypes[i]), 7, 7), high);
		assert_int_equal(field(fmt->leaf(PG_LEVEL_4K, EPT_RWX, memtypes[i]), 12, 12), 0);
		for (unsigned int level = PG_LEVEL_2M; level <= PG_LEVEL_1G; level++) {
			uint64_t e = fmt->leaf((enum pg_level)level, EPT_RWX, memtypes[i]);

			assert_int_equal(field(e, 7, 7), 1);
			assert_int_equal(field(e, 12, 12), high);
		}
	}
}

/* --- trees ---------------------------------------------------------------------------------- */

static const struct ept_format *const formats[] = { &ept_format_intel, &ept_format_amd };

/* What is visible on the way to gfn: legal, of this memory type in the leaf. Returns how many. */
static unsigned int check_path(const struct world *w, gfn_t gfn, enum ept_memtype memtype)
{
	const struct hardware *hw = hardware_of(w->ept.fmt);
	uint64_t path[PG_LEVEL_MAX];
	unsigned int seen = 0;

	ept_path(&w->ept, gfn, path);
	for (unsigned int level = 1; level <= 4; level++) {
		struct bits b = hw->read(path[level], level);

		assert_ptr_equal(hw->wrong(path[level], level, 52), NULL);
		if (b.sort == BITS_LEAF)
			assert_int_equal(b.memtype, memtype);
		seen += b.sort != BITS_HIDDEN;
	}
	return seen;
}

/* Leaves of all sizes, by splits; then one again, by collapse. */
static void grow_and_cut_a_tree(const struct ept_format *fmt, unsigned int perms,
				enum ept_memtype memtype)
{
	const struct step steps[] = {
		{ .code = STEP_MAP,
		  .frames = 1 << 19,
		  .kind = EPT_PRESENT,
		  .perms = (uint8_t)perms,
		  .memtype = (uint8_t)memtype },
		{ .code = STEP_SPLIT, .gfn = 1 << 18, .level = PG_LEVEL_4K },
		{ .code = STEP_TOUCH, .gfn = 1 << 18, .write = true },
		{ .code = STEP_TOUCH, .gfn = 5, .write = true },
		{ .code = STEP_SYNC },
	};
	const struct step collapse = { .code = STEP_COLLAPSE,
				       .gfn = 1 << 18,
				       .level = PG_LEVEL_1G };
	struct world w;

	world_init(&w, fmt, PG_LEVEL_1G, 1 << 19, 1 << 19, 16);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		assert_true(world_step(&w, &steps[i]));
	assert_int_equal(check_path(&w, 0, memtype), 2);
	assert_int_equal(check_path(&w, 1 << 18, memtype), 4);
	assert_int_equal(check_path(&w, (1 << 18) + 511, memtype), 4);
	assert_int_equal(check_path(&w, (1 << 18) + 512, memtype), 3);
	assert_true(world_verify_range(&w, (1 << 18) - 8, 1100));
	assert_true(world_step(&w, &collapse));
	assert_int_equal(check_path(&w, 1 << 18, memtype), 2);
	assert_true(world_verify_range(&w, (1 << 18) - 8, 1100) && world_verify_tables(&w));
	world_fini(&w);
	assert_string_equal(w.fault, "");
}

static void splits_and_collapses_keep_rights_and_memory_type_in_both_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(memtypes); i++)
		for (size_t j = 0; j < ARRAY_LEN(toy_perms); j++) {
			grow_and_cut_a_tree(&ept_format_intel, toy_perms[j], memtypes[i]);
			grow_and_cut_a_tree(&ept_format_amd, toy_perms[j], memtypes[i]);
		}
}

static void zero_maps_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		const struct ept_format *fmt = formats[i];

		for (unsigned int level = PG_LEVEL_4K; level <= PG_LEVEL_512G; level++)
			assert_int_equal(entry_kind(fmt, 0, (enum pg_level)level), EPT_NONE);
		assert_int_equal(entry_encode(fmt, &(struct ept_state){ .kind = EPT_NONE }), 0);
	}
}

static void a_table_is_a_table_at_every_level_but_the_lowest(void **state)
{
	const uint64_t at = 0x123456789000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		const struct ept_format *fmt = formats[i];
		uint64_t e = entry_table(fmt, hpa(at));

		for (unsigned int level = PG_LEVEL_2M; level <= PG_LEVEL_512G; level++) {
			struct bits b = hardware_of(fmt)->read(e, level);

			assert_int_equal(entry_kind(fmt, e, (enum pg_level)level), EPT_TABLE);
			assert_ptr_equal(hardware_of(fmt)->wrong(e, level, 52), NULL);
			assert_int_equal(b.sort, BITS_TABLE);
			assert_int_equal(b.frame, at);
			assert_int_equal(b.perms, EPT_RWX);
		}
		assert_int_equal(entry_decode(fmt, e, PG_LEVEL_2M).frame.v, at);
	}
}

static void check_refused(const struct ept_format *fmt, unsigned int perms)
{
	const enum ept_kind either[] = { EPT_PRESENT, EPT_ABSENT };
	struct world w;

	world_init(&w, fmt, PG_LEVEL_1G, 512, 512, 16);
	for (size_t i = 0; i < ARRAY_LEN(either); i++)
		assert_int_equal(ept_map(ept_cpu(&w.ept, 0), 0, 512, hpa(WORLD_BACKING), perms,
					 EPT_WB, either[i]),
				 EPT_INVALID);
	assert_int_equal(w.in_use, 1);
	world_fini(&w);
	assert_string_equal(w.fault, "");
}

static void map_refuses_rights_that_no_entry_can_give(void **state)
{
	const unsigned int never[] = { 0, EPT_W, EPT_W | EPT_X, EPT_RWX + 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		for (size_t j = 0; j < ARRAY_LEN(never); j++)
			check_refused(formats[i], never[j]);
}

static void map_gives_execute_only_where_the_format_has_it_and_refuses_it_elsewhere(void **state)
{
	struct world w;

	(void)state;
	check_refused(&ept_format_amd, EPT_X);
	world_init(&w, &ept_format_intel, PG_LEVEL_1G, 512, 512, 16);
	assert_true(world_step(&w, &(struct step){ .code = STEP_MAP,
						   .frames = 512,
						   .kind = EPT_PRESENT,
						   .perms = EPT_X,
						   .memtype = EPT_WB }));
	assert_int_equal(ept_lookup(&w.ept, 5).perms, EPT_X);
	world_fini(&w);
	assert_string_equal(w.fault, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_decodes_to_what_was_encoded),
		cmocka_unit_test(
			what_is_not_present_is_hidden_from_all_hardware_and_holds_its_frame_inverted),
		cmocka_unit_test(intel_reads_in_every_leaf_what_was_encoded),
		cmocka_unit_test(amd_reads_in_every_leaf_what_was_encoded),
		cmocka_unit_test(amds_pat_bit_is_bit_7_of_a_small_leaf_and_bit_12_of_a_large_one),
		cmocka_unit_test(splits_and_collapses_keep_rights_and_memory_type_in_both_formats),
		cmocka_unit_test(zero_maps_nothing),
		cmocka_unit_test(a_table_is_a_table_at_every_level_but_the_lowest),
		cmocka_unit_test(map_refuses_rights_that_no_entry_can_give),
		cmocka_unit_test(
			map_gives_execute_only_where_the_format_has_it_and_refuses_it_elsewhere),
	};

	return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
