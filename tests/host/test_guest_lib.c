/* SPDX-License-Identifier: MIT */
/* The payloads' library: page contents and what they detect, orders, the hash chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/lib/chain.h"
#include "guest/lib/order.h"
#include "guest/lib/pattern.h"

#define GPA     UINT64_C(0x40123000)
#define SEED    UINT64_C(0x5eed)
#define VERSION 7

static uint64_t page[PAGE_WORDS];
static struct pattern pattern;

static uint64_t draws = 1;

static uint32_t draw(uint32_t bound)
{
	return mix_below(mix64(draws++), bound);
}

static void fill(void)
{
	pattern = pattern_of(GPA, SEED, VERSION);
	page_fill(page, pattern);
}

static bool looks_right(void)
{
	return sums_equal(page_sums(page), pattern_sums(pattern));
}

static void a_page_is_filled_as_described_and_nothing_beyond(void **state)
{
	uint64_t guarded[PAGE_WORDS + 2] = { 0 };

	(void)state;
	fill();
	page_fill(guarded + 1, pattern);
	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		assert_int_equal(guarded[i + 1], pattern_word(pattern, i));
	assert_int_equal(guarded[0], 0);
	assert_int_equal(guarded[PAGE_WORDS + 1], 0);
}

static void a_right_page_has_the_sums_that_are_computed(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		pattern = pattern_of((uint64_t)draw(1 << 20) << 12, mix64(i), draw(1 << 24));
		page_fill(page, pattern);
		assert_true(looks_right());
		assert_int_equal(page_mismatch(page, pattern), PAGE_WORDS);
	}
}

static void a_series_sums_up_as_if_word_by_word(void **state)
{
	struct sums s = { 0, 0 };

	(void)state;
	for (uint64_t n = 0; n <= PAGE_WORDS; n++) {
		assert_true(sums_equal(sums_of_series(SEED, GPA | 1, n), s));
		s = sums_add(s, SEED + n * (GPA | 1));
	}
}

static void each_wrong_bit_is_detected_and_found(void **state)
{
	(void)state;
	fill();
	for (unsigned int bit = 0; bit < PAGE_WORDS * 64; bit++) {
		page[bit / 64] ^= UINT64_C(1) << bit % 64;
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), bit / 64);
		page[bit / 64] ^= UINT64_C(1) << bit % 64;
	}
	assert_true(looks_right());
}

static void exchange(unsigned int i, unsigned int j)
{
	uint64_t word = page[i];

	page[i] = page[j];
	page[j] = word;
}

static void two_exchanged_words_are_detected(void **state)
{
	(void)state;
	fill();
	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int i = draw(PAGE_WORDS);
		unsigned int j = (i + 1 + draw(PAGE_WORDS - 1)) % PAGE_WORDS;

		exchange(i, j);
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), i < j ? i : j);
		exchange(i, j);
	}
}

static void a_page_at_a_wrong_offset_is_detected(void **state)
{
	uint64_t shifted[2 * PAGE_WORDS];

	(void)state;
	fill();
	memcpy(shifted, page, sizeof(page));
	memcpy(shifted + PAGE_WORDS, page, sizeof(page));
	for (unsigned int by = 1; by < PAGE_WORDS; by++) {
		memcpy(page, shifted + by, sizeof(page));
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), 0);
	}
}

static void another_page_or_version_or_seed_is_detected(void **state)
{
	(void)state;
	for (unsigned int n = 1; n < 2000; n++) {
		fill();
		pattern = pattern_of(GPA + n * PAGE_BYTES, SEED, VERSION);
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), 0);
		pattern = pattern_of(GPA, SEED, VERSION + n);
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), 0);
		pattern = pattern_of(GPA, SEED + n, VERSION);
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), 0);
	}
	memset(page, 0, sizeof(page));
	assert_false(looks_right());
}

static void a_torn_page_is_detected_wherever_it_is_torn(void **state)
{
	uint64_t older[PAGE_WORDS];

	(void)state;
	fill();
	page_fill(older, pattern_of(GPA, SEED, VERSION - 1));
	for (unsigned int i = 1; i < PAGE_WORDS; i++) {
		fill();
		memcpy(page + i, older + i, sizeof(page) - i * sizeof(*page));
		assert_false(looks_right());
		assert_int_equal(page_mismatch(page, pattern), i);
		fill();
		memcpy(page, older, i * sizeof(*page));
		assert_false(looks_right());
	}
}

static int compare(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static void no_two_pages_or_versions_begin_alike_and_steps_are_odd(void **state)
{
	static uint64_t first[1 << 18];
	const unsigned int n = sizeof(first) / sizeof(*first);

	(void)state;
	for (unsigned int i = 0; i < n; i++) {
		struct pattern p = pattern_of((uint64_t)(i % 4096) << 12, SEED, i / 4096);

		assert_int_equal(p.step & 1, 1);
		first[i] = p.base;
	}
	qsort(first, n, sizeof(*first), compare);
	for (unsigned int i = 1; i < n; i++)
		assert_int_not_equal(first[i - 1], first[i]);
}

static void a_peek_is_right_on_a_right_page_and_looks_at_four_words(void **state)
{
	(void)state;
	fill();
	for (uint64_t turn = 0; turn < 2 * PEEK_APART; turn++) {
		unsigned int first = peek_first(GPA, turn);

		assert_true(sums_equal(page_peek(page, first), pattern_peek(pattern, first)));
		for (unsigned int i = 0; i < PEEK_WORDS; i++) {
			page[first + i * PEEK_APART] ^= 1;
			assert_false(
				sums_equal(page_peek(page, first), pattern_peek(pattern, first)));
			page[first + i * PEEK_APART] ^= 1;
		}
	}
}

static void peeks_look_at_every_word_in_as_many_turns_as_promised(void **state)
{
	bool seen[PEEK_APART] = { false };

	(void)state;
	for (uint64_t turn = 1000; turn < 1000 + PEEK_APART; turn++) {
		assert_true(peek_first(GPA, turn) < PEEK_APART);
		assert_false(seen[peek_first(GPA, turn)]);
		seen[peek_first(GPA, turn)] = true;
	}
}

static void assert_one_cycle(uint64_t n, uint64_t seed, uint64_t from)
{
	struct order order = order_of(n, seed);
	uint8_t *seen = calloc(n, 1);
	uint64_t i = from;

	assert_non_null(seen);
	for (uint64_t steps = 0; steps < n; steps++) {
		i = order_next(&order, i);
		assert_true(i < n);
		assert_int_equal(seen[i], 0);
		seen[i] = 1;
	}
	assert_int_equal(i, from);
	free(seen);
}

static void an_order_is_one_cycle_through_all_numbers(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 1100; n++)
		for (uint64_t seed = 0; seed < 4; seed++)
			assert_one_cycle(n, seed, n - 1);
	assert_one_cycle(262144, SEED, 0);
	assert_one_cycle(262144 - 512, SEED, 77);
}

static void orders_jump_about_and_differ_from_seed_to_seed(void **state)
{
	const uint64_t n = 65536 - 1000;
	struct order x = order_of(n, 1), y = order_of(n, 2);
	unsigned int near = 0, same = 0, steady = 0;

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t next = order_next(&x, i);

		near += (next > i ? next - i : i - next) < 512;
		same += next == order_next(&y, i);
		steady += order_next(&x, next) - next == next - i;
	}
	/* By chance 1.6 % lie in 512 pages on either side. */
	assert_true(near < n / 30);
	assert_true(same < n / 1000);
	assert_true(steady < n / 1000);
}

static void a_broken_chain_never_comes_right_again(void **state)
{
	uint64_t right = chain_begin(SEED, 0), wrong = right;

	(void)state;
	wrong = chain_step(wrong, 1);
	right = chain_step(right, 2);
	for (uint64_t i = 0; i < 1000000; i++) {
		assert_int_not_equal(right, wrong);
		right = chain_step(right, i);
		wrong = chain_step(wrong, i);
	}
}

static void a_chain_tells_the_order_of_its_words(void **state)
{
	uint64_t chain = chain_begin(SEED, 1);

	(void)state;
	assert_int_not_equal(chain, chain_begin(SEED, 0));
	assert_int_not_equal(chain_step(chain_step(chain, 1), 2),
			     chain_step(chain_step(chain, 2), 1));
	assert_int_not_equal(chain_step(chain, 0), chain);
}

static void a_draw_of_thirds_is_even(void **state)
{
	unsigned int n[3] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 30000; i++)
		n[mix_below(mix64(i << 12), 3)]++;
	for (unsigned int i = 0; i < 3; i++)
		assert_in_range(n[i], 9600, 10400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_filled_as_described_and_nothing_beyond),
		cmocka_unit_test(a_right_page_has_the_sums_that_are_computed),
		cmocka_unit_test(a_series_sums_up_as_if_word_by_word),
		cmocka_unit_test(each_wrong_bit_is_detected_and_found),
		cmocka_unit_test(two_exchanged_words_are_detected),
		cmocka_unit_test(a_page_at_a_wrong_offset_is_detected),
		cmocka_unit_test(another_page_or_version_or_seed_is_detected),
		cmocka_unit_test(a_torn_page_is_detected_wherever_it_is_torn),
		cmocka_unit_test(no_two_pages_or_versions_begin_alike_and_steps_are_odd),
		cmocka_unit_test(a_peek_is_right_on_a_right_page_and_looks_at_four_words),
		cmocka_unit_test(peeks_look_at_every_word_in_as_many_turns_as_promised),
		cmocka_unit_test(an_order_is_one_cycle_through_all_numbers),
		cmocka_unit_test(orders_jump_about_and_differ_from_seed_to_seed),
		cmocka_unit_test(a_broken_chain_never_comes_right_again),
		cmocka_unit_test(a_chain_tells_the_order_of_its_words),
		cmocka_unit_test(a_draw_of_thirds_is_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
