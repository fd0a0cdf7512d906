/* SPDX-License-Identifier: MIT */
/* The least of several waits: how many tries it needs, and that a disturbed one is never taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "boot/base/least.h"
#include "tests/host/random.h"

#define US     1200
#define CYCLES (UINT64_C(1200) * 2600) /* at 2.6 GHz */
#define A_US   2600

/* Notes these, and says after how many it was enough. */
static unsigned int enough_after(struct least *l, const uint64_t *cycles, unsigned int n)
{
	*l = least_of(US);
	for (unsigned int i = 0; i < n; i++)
		if (!least_note(l, cycles[i]))
			return i + 1;
	return 0;
}

static void test_three_tries_that_agree_are_enough(void **state)
{
	const uint64_t cycles[] = { CYCLES + 700, CYCLES, CYCLES + A_US };
	struct least l;

	(void)state;
	assert_int_equal(enough_after(&l, cycles, ARRAY_LEN(cycles)), 3);
	assert_int_equal(l.cycles, CYCLES);
}

static void test_longer_ones_in_between_do_not_count(void **state)
{
	const uint64_t cycles[] = { 3 * CYCLES, CYCLES, CYCLES + 2 * A_US,
				    2 * CYCLES, CYCLES, CYCLES };
	struct least l;

	(void)state;
	assert_int_equal(enough_after(&l, cycles, ARRAY_LEN(cycles)), 6);
	assert_int_equal(l.cycles, CYCLES);
}

static void test_a_shorter_one_begins_anew(void **state)
{
	const uint64_t cycles[] = { 2 * CYCLES, 2 * CYCLES, CYCLES, CYCLES, 2 * CYCLES, CYCLES };
	struct least l;

	(void)state;
	assert_int_equal(enough_after(&l, cycles, ARRAY_LEN(cycles)), 6);
	assert_int_equal(l.cycles, CYCLES);
}

static void test_where_none_agree_the_least_of_all_is_taken(void **state)
{
	struct least l = least_of(US);
	unsigned int n = 1;

	(void)state;
	while (least_note(&l, CYCLES + (LEAST_TRIES - n) * 10 * A_US))
		n++;
	assert_int_equal(n, LEAST_TRIES);
	assert_int_equal(l.cycles, CYCLES);
}

static void test_a_clock_that_does_not_count_ends(void **state)
{
	const uint64_t cycles[] = { 0, 0, 0 };
	struct least l;

	(void)state;
	assert_int_equal(enough_after(&l, cycles, ARRAY_LEN(cycles)), 3);
	assert_int_equal(l.cycles, 0);
}

/* Half of the tries lose the CPU for up to 4 ms: what is taken is right to some microseconds, in
 * each of many machines. */
static void test_on_a_busy_host_the_disturbed_are_passed_over(void **state)
{
	uint64_t seed = 15;

	(void)state;
	for (unsigned int machine = 0; machine < 20000; machine++) {
		struct least l = least_of(US);
		uint64_t cycles;

		do {
			cycles = CYCLES + rnd(&seed) % (A_US / 2);
			if (rnd(&seed) % 2)
				cycles += (uint64_t)(rnd(&seed) % 4000) * A_US;
		} while (least_note(&l, cycles));
		assert_in_range(l.cycles, CYCLES, CYCLES + 20 * A_US);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_tries_that_agree_are_enough),
		cmocka_unit_test(test_longer_ones_in_between_do_not_count),
		cmocka_unit_test(test_a_shorter_one_begins_anew),
		cmocka_unit_test(test_where_none_agree_the_least_of_all_is_taken),
		cmocka_unit_test(test_a_clock_that_does_not_count_ends),
		cmocka_unit_test(test_on_a_busy_host_the_disturbed_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
