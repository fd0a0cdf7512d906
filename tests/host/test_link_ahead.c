/* SPDX-License-Identifier: MIT */
/* Pre-copy over a simulated link: what comes ahead is right, or of no use. Each test's name is the
 * claim. */
#include "tests/host/link/case.h"

/* Pages of one round travel in the next one, where they have changed. */
static void what_was_read_in_another_round_is_dropped(void **state)
{
	const struct faults faults = { .delay = 200, .each = 10, .late = 50, .late_by = 8000 };

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		machines_init(&m, seed, &faults);
		m.rounds_wanted = 10;
		machines_begin(&m);
		ends_right();
	}
}

/* The word that the guest has stopped overtakes the map, after which it has written. */
static void a_map_of_before_the_guest_stopped_is_not_the_last(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		machines_init(&m, seed, &none);
		m.rounds_wanted = m.stops_at = 2 + seed % 3;
		machines_begin(&m);
		ends_right();
	}
}

static void begin_ahead(void)
{
	begin_with(&none);
	m.rounds_wanted = 2;
	m.load_waits = true;
	machines_begin(&m);
}

/* The source takes the guest back when the destination has the last map, and stops it again. */
static void the_last_map_is_of_the_guest_that_is_taken(void **state)
{
	(void)state;
	begin_ahead();
	assert_true(machines_until(&m, ASKER_STATE, SECONDS));
	steps(5000);
	assert_true(ahead_settled(&m.ahead, &m.asker));
	assert_true(machines_stop_again(&m));
	steps(5000);
	m.load_waits = false;
	ends_right();
	assert_int_equal(m.came_ahead, 0); /* all has changed */
}

/* What was given back meanwhile is in no map of the new session's. */
static void another_session_begins_with_nothing(void **state)
{
	unsigned int n = 0;

	(void)state;
	begin_ahead();
	assert_true(machines_until(&m, ASKER_STATE, SECONDS));
	steps(5000);
	asker_retry(&m.asker, m.now);
	for (gfn_t gfn = 0; gfn < VM_PAGES; gfn++)
		n += m.arrived.ahead[gfn];
	assert_true(n > 0);
	steps(5000);
	for (gfn_t gfn = 0; gfn < VM_PAGES; gfn++)
		assert_false(m.arrived.ahead[gfn]);
	m.load_waits = false;
	ends_right();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_in_another_round_is_dropped),
		cmocka_unit_test(a_map_of_before_the_guest_stopped_is_not_the_last),
		cmocka_unit_test(the_last_map_is_of_the_guest_that_is_taken),
		cmocka_unit_test(another_session_begins_with_nothing),
	};

	return cmocka_run_group_tests_name("pre-copy between two machines", tests, NULL, NULL);
}
