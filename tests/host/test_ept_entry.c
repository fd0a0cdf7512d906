/* SPDX-License-Identifier: MIT */
/*
 * Single entries. What hardware accepts is written down here once more, from the SDM (vol. 3C,
 * "EPT Translation Mechanism", tables of the formats of EPT paging-structure entries, and "EPT
 * Misconfigurations"), not taken from ept/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ept/entry.h"
#include "mm/err.h"
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
	size_t n = ARRAY_LEN(kinds) * 3 * nperms * ARRAY_LEN(memtypes) * ARRAY_LEN(frames) * 16;

	for (size_t i = 0; i < n; i++) {
		size_t rest = i / 16;
		struct ept_state s = { .requested = i & 1, .tracked = i & 2 };

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
		/* Flags that this kind has not; and tracking takes away a right that is there. */
		if (s.kind == EPT_PRESENT)
			s.requested = false;
		else
			s.accessed = s.dirty = false;
		s.tracked = s.tracked && (s.perms & EPT_W);
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

static bool is_clear(uint64_t e, unsigned int high, unsigned int low)
{
	return (e >> low & ((UINT64_C(1) << (high - low + 1)) - 1)) == 0;
}

/* Whether hardware takes an entry with any of bits 2:0 set without a misconfiguration. Execute-only
 * is allowed, bits 63:52 are ignored while no feature that uses them is on. */
static bool intel_accepts(uint64_t e, unsigned int level)
{
	bool large = e >> 7 & 1;
	unsigned int type = e >> 3 & 7;

	if ((e & 3) == 2)
		return false; /* writable, not readable */
	if (level == 4)
		return is_clear(e, 7, 3);
	if (level > 1 && !large)
		return is_clear(e, 6, 3);
	if (type == 2 || type == 3 || type == 7)
		return false;
	return level == 1 || is_clear(e, level == 2 ? 20 : 29, 12);
}

static void check_accepted(const struct ept_format *fmt, const struct ept_state *s)
{
	uint64_t e = entry_encode(fmt, s);

	if (s->kind != EPT_PRESENT)
		return;
	assert_true(intel_accepts(e, s->level));
	assert_int_equal(e >> 7 & 1, s->level > 1);
	assert_int_equal(e >> 8 & 1, s->accessed);
	assert_int_equal(e >> 9 & 1, s->dirty);
	assert_int_equal(e & 7, s->tracked ? s->perms & ~2u : s->perms);
	assert_int_equal(e >> 3 & 7, s->memtype);
	/* Verify guest paging, paging-write, supervisor shadow stack, sub-page, suppress #VE. */
	assert_true(is_clear(e, 63, 54));
}

static void intel_accepts_every_leaf(void **state)
{
	(void)state;
	each_state(&ept_format_intel, intel_perms, ARRAY_LEN(intel_perms), check_accepted);
}

/* APM vol. 2, "Nested Paging" and "Long-Mode Page Translation": present, user (a guest's accesses
 * count as a user's), no reserved bit; PAT holds the types by three index bits. */
static void check_amd(const struct ept_format *fmt, const struct ept_state *s)
{
	/* Encodings of the PAT's bytes, APM vol. 2, "PAT Register". */
	static const enum ept_memtype types[8] = {
		[0] = EPT_UC, [1] = EPT_WC, [4] = EPT_WT, [5] = EPT_WP, [6] = EPT_WB, [7] = EPT_UC,
	};
	uint64_t e = entry_encode(fmt, s);
	unsigned int index = (e >> 3 & 3) | (e >> (s->level > 1 ? 12 : 7) & 1) << 2;

	if (s->kind != EPT_PRESENT)
		return;
	assert_int_equal(e & 5, 5);
	assert_int_equal(e >> 1 & 1, (s->perms & EPT_W) && !s->tracked);
	assert_int_equal(e >> 63, !(s->perms & EPT_X));
	assert_int_equal(e >> 5 & 1, s->accessed);
	assert_int_equal(e >> 6 & 1, s->dirty);
	assert_true(s->level == 1 || (e >> 7 & 1));
	assert_true(s->level == 1 || is_clear(e, s->level == 2 ? 20 : 29, 13));
	assert_int_equal(types[EPT_AMD_PAT >> (8 * index) & 7], s->memtype);
	assert_true(is_clear(e, 62, 59)); /* the protection key */
}

static void amd_accepts_every_leaf(void **state)
{
	uint64_t table = entry_table(&ept_format_amd, hpa(0x123456789000));

	(void)state;
	each_state(&ept_format_amd, toy_perms, ARRAY_LEN(toy_perms), check_amd);
	assert_int_equal(table, 0x123456789000 | 7);
}

static void intel_accepts_every_entry_of_a_tree_with_all_sizes(void **state)
{
	const struct step steps[] = {
		{ .code = STEP_MAP,
		  .frames = 1 << 19,
		  .kind = EPT_PRESENT,
		  .perms = EPT_RWX,
		  .memtype = EPT_WB },
		{ .code = STEP_SPLIT, .gfn = 1 << 18, .level = PG_LEVEL_4K },
		{ .code = STEP_TOUCH, .gfn = 1 << 18, .write = true },
		{ .code = STEP_TOUCH, .gfn = 5, .write = true },
		{ .code = STEP_SYNC },
	};
	const gfn_t look_at[] = { 0, 1 << 18, (1 << 18) + 511, (1 << 18) + 512 };
	unsigned int seen = 0;
	struct world w;

	(void)state;
	world_init(&w, &ept_format_intel, PG_LEVEL_1G, 1 << 19, 1 << 19, 16);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		assert_true(world_step(&w, &steps[i]));
	for (size_t i = 0; i < ARRAY_LEN(look_at); i++) {
		uint64_t path[PG_LEVEL_MAX];

		ept_path(&w.ept, look_at[i], path);
		for (unsigned int level = 1; level <= 4; level++) {
			assert_true(!(path[level] & 7) || intel_accepts(path[level], level));
			seen += (path[level] & 7) != 0;
		}
	}
	assert_int_equal(seen, 2 + 4 + 4 + 3);
	world_fini(&w);
	assert_string_equal(w.fault, "");
}

static void zero_maps_nothing(void **state)
{
	(void)state;
	for (unsigned int level = PG_LEVEL_4K; level <= PG_LEVEL_512G; level++)
		assert_int_equal(entry_kind(&ept_format_intel, 0, (enum pg_level)level), EPT_NONE);
	assert_int_equal(entry_encode(&ept_format_intel, &(struct ept_state){ .kind = EPT_NONE }),
			 0);
}

static void a_table_is_a_table_at_every_level_but_the_lowest(void **state)
{
	uint64_t e = entry_table(&ept_format_intel, hpa(0x123456789000));

	(void)state;
	for (unsigned int level = PG_LEVEL_2M; level <= PG_LEVEL_512G; level++) {
		assert_int_equal(entry_kind(&ept_format_intel, e, (enum pg_level)level), EPT_TABLE);
		assert_true(intel_accepts(e, level));
	}
	assert_int_equal(e & 7, 7);
	assert_int_equal(entry_decode(&ept_format_intel, e, PG_LEVEL_2M).frame.v, 0x123456789000);
}

static void map_refuses_rights_that_no_entry_can_give(void **state)
{
	const unsigned int never[] = { 0, EPT_W, EPT_W | EPT_X, EPT_RWX + 1 };
	struct world w;

	(void)state;
	world_init(&w, &ept_format_intel, PG_LEVEL_1G, 1 << 18, 1 << 18, 16);
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		assert_int_equal(ept_map(ept_cpu(&w.ept, 0), 0, 512, hpa(WORLD_BACKING), never[i],
					 EPT_WB, EPT_PRESENT),
				 -EINVAL);
		assert_int_equal(ept_map(ept_cpu(&w.ept, 0), 0, 512, hpa(WORLD_BACKING), never[i],
					 EPT_WB, EPT_ABSENT),
				 -EINVAL);
	}
	assert_true(world_verify(&w));
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_decodes_to_what_was_encoded),
		cmocka_unit_test(
			what_is_not_present_is_hidden_from_all_hardware_and_holds_its_frame_inverted),
		cmocka_unit_test(intel_accepts_every_leaf),
		cmocka_unit_test(amd_accepts_every_leaf),
		cmocka_unit_test(intel_accepts_every_entry_of_a_tree_with_all_sizes),
		cmocka_unit_test(zero_maps_nothing),
		cmocka_unit_test(a_table_is_a_table_at_every_level_but_the_lowest),
		cmocka_unit_test(map_refuses_rights_that_no_entry_can_give),
	};

	return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
