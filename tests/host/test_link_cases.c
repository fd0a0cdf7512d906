/* SPDX-License-Identifier: MIT */
/* The switch-over and its failures, case by case, between two machines (tests/host/link/). */
#include "tests/host/link/link_case.h"

/* The guest goes on where it is, as if nobody had asked. */
static void is_refused(enum link_reason reason, const char *detail)
{
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_REFUSED, 60 * SECONDS));
	assert_int_equal(asker_reason(&m.asker), reason);
	assert_string_equal(asker_detail(&m.asker), detail);
	steps(2 * SECONDS);
	assert_int_equal(m.asker.stats.pages_came, 0);
	assert_int_equal(asker_phase(&m.asker), ASKER_REFUSED);
	assert_true(m.source_runs);
	assert_null(m.broken);
}

/* --- refused by name -------------------------------------------------------------------------- */

static void each_mismatch_is_refused_by_name(void **state)
{
	(void)state;
	begin_with(&none);
	m.asker_setup.offer.vendor = LINK_VENDOR_VMX;
	is_refused(LINK_REASON_VENDOR, "");
	begin_with(&none);
	m.asker_setup.offer.state_version++;
	is_refused(LINK_REASON_STATE_VERSION, "");
	begin_with(&none);
	m.asker_setup.offer.vcpus = 1;
	is_refused(LINK_REASON_VCPUS, "");
	begin_with(&none);
	m.asker_setup.offer.region[0].frames--;
	is_refused(LINK_REASON_REGIONS, "");
	begin_with(&none);
	m.answerer_setup.offer.cpu[LINK_CPU_7_EBX] = 0x1000;
	is_refused(LINK_REASON_CPU, "CPUID 7 EBX");
	begin_with(&none);
	m.answerer_setup.offer.needs = LINK_FEATURE_SMALL_ARRIVALS;
	m.asker_setup.offer.features = LINK_FEATURE_EXACT_ADDRESS;
	is_refused(LINK_REASON_FEATURES, "single 4 KiB pages arrive in larger backing");
	begin_with(&none);
	m.asker_setup.offer.needs = UINT64_C(1) << 40;
	is_refused(LINK_REASON_FEATURES, "a feature that this version does not know");
}

static void backing_may_differ(void **state)
{
	(void)state;
	begin_with(&none);
	m.asker_setup.offer.backing = PG_LEVEL_1G;
	m.answerer_setup.offer.backing = PG_LEVEL_4K;
	machines_begin(&m);
	ends_right();
}

static void a_state_that_is_too_large_is_refused(void **state)
{
	(void)state;
	begin_with(&none);
	m.asker_setup.state_room = VM_STATE - 1;
	is_refused(LINK_REASON_STATE_SIZE, "");
}

static void another_key_is_refused(void **state)
{
	static const uint8_t other[] = "a key that only one side knows";

	(void)state;
	begin_with(&none);
	m.asker_setup.key.bytes = other;
	is_refused(LINK_REASON_KEY, "");
	assert_int_equal(m.answerer.stats.sessions, 0);
}

static void no_key_and_a_key_do_not_talk(void **state)
{
	(void)state;
	begin_with(&none);
	m.asker_setup.key = (struct link_key){ .insecure = true };
	is_refused(LINK_REASON_SUITE, "");
	begin_with(&none);
	m.answerer_setup.key = (struct link_key){ .insecure = true };
	is_refused(LINK_REASON_SUITE, "");
}

static void without_a_key_neither_begins(void **state)
{
	(void)state;
	begin_with(&none);
	m.answerer_setup.key = m.asker_setup.key = (struct link_key){ 0 };
	assert_int_equal(answerer_init(&m.answerer, &m.answerer_setup), -EPERM);
	assert_int_equal(asker_init(&m.asker, &m.asker_setup), -EPERM);
	m.asker_setup.key = (struct link_key){ .bytes = (const uint8_t *)"short", .n = 5 };
	assert_int_equal(asker_init(&m.asker, &m.asker_setup), -EINVAL);
}

static void who_cannot_load_the_state_leaves_the_guest_where_it_is(void **state)
{
	(void)state;
	begin_with(&none);
	m.load_fails = true;
	m.answerer_setup.limit = 0; /* no clock helps */
	is_refused(LINK_REASON_STATE, "");
	assert_int_equal(answerer_left(&m.answerer), LINK_REASON_STATE);
	assert_int_equal(m.vm.age, 1); /* it was stopped, and went on */
}

/* --- the switch-over -------------------------------------------------------------------------- */

/* The asker has taken, and its word is lost. */
static void a_late_take_is_refused_and_the_next_attempt_goes(void **state)
{
	(void)state;
	begin_with(&none);
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_TAKING, SECONDS));
	m.link.cut = true;
	faulty_drop(&m.link);
	steps(SECONDS);
	assert_true(m.source_runs);
	assert_int_equal(asker_phase(&m.asker), ASKER_TAKING);
	m.link.cut = false;
	ends_right();
	assert_true(m.vm.age > 0);
}

/* The guest has run on between the state that was loaded and the take. */
static void a_take_of_an_earlier_image_is_refused(void **state)
{
	(void)state;
	begin_with(&none);
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_TAKING, SECONDS));
	assert_true(machines_stop_again(&m));
	ends_right();
	assert_int_equal(m.vm.age, 1);
}

/* Pieces of an earlier image that come late are not mixed with the next one's. */
static void a_state_is_of_one_image(void **state)
{
	(void)state;
	begin_with(&(struct faults){ .delay = 2000, .jitter = 4000, .each = 10 });
	machines_begin(&m);
	for (unsigned int i = 0; i < 8; i++) {
		uint64_t end = m.now + 60 * SECONDS;

		while (m.now < end && !m.asker.state_have)
			machines_step(&m);
		if (asker_phase(&m.asker) == ASKER_WAITING)
			assert_true(machines_stop_again(&m));
		steps(1000 * i);
	}
	ends_right();
}

/* The source has let go, and its word is lost: nobody runs, and then the asker does. */
static void the_source_never_resumes(void **state)
{
	(void)state;
	begin_with(&none);
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_TAKING, SECONDS));
	while (answerer_phase(&m.answerer) != LINK_GONE)
		machines_step(&m);
	m.link.cut = true;
	faulty_drop(&m.link);
	steps(5 * SECONDS);
	assert_false(m.source_runs);
	assert_false(m.destination_runs);
	assert_int_equal(answerer_thaw(&m.answerer), -EPERM);
	m.link.cut = false;
	ends_right();
	assert_int_equal(m.vm.age, 0);
}

static void nobody_else_gets_what_was_given_away(void **state)
{
	(void)state;
	begin_with(&none);
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
	machines_restart_destination(&m);
	assert_true(machines_until(&m, ASKER_REFUSED, 10 * SECONDS));
	assert_int_equal(asker_reason(&m.asker), LINK_REASON_TAKEN);
	assert_false(m.source_runs);
}

static void a_snapshot_can_be_restored_again(void **state)
{
	(void)state;
	begin_with(&none);
	m.restore = true;
	machines_begin(&m);
	ends_right();
	machines_restart_destination(&m);
	ends_right();
}

/* --- a link that fails ------------------------------------------------------------------------ */

static void after_a_cut_only_what_is_owed_is_asked_for(void **state)
{
	uint64_t came;

	(void)state;
	begin_with(&none);
	machines_begin(&m);
	while (m.arrived.n < VM_PAGES / 2)
		machines_step(&m);
	came = m.asker.stats.pages_came;
	machines_kill_source(&m);
	faulty_drop(&m.link);
	steps(SECONDS);
	machines_restart_source(&m, true);
	ends_right();
	assert_int_equal(m.answerer.stats.pages_sent, m.asker.stats.pages_came - came);
}

static void another_image_is_refused_by_name_and_the_right_one_goes_on(void **state)
{
	(void)state;
	begin_with(&none);
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
	machines_kill_source(&m);
	faulty_drop(&m.link);
	machines_restart_source(&m, false);
	steps(SECONDS);
	assert_int_equal(asker_reason(&m.asker), LINK_REASON_IMAGE);
	assert_int_equal(m.answerer.stats.pieces_sent, 0);
	m.image[3] ^= 0x55;
	machines_restart_source(&m, true);
	ends_right();
}

static void after_the_limit_it_is_cut_and_can_go_on(void **state)
{
	(void)state;
	begin_with(&none);
	m.asker_setup.limit = SECONDS;
	machines_begin(&m);
	while (m.arrived.n < VM_PAGES / 2)
		machines_step(&m);
	m.link.cut = true;
	steps(3 * SECONDS);
	assert_true(asker_is_cut(&m.asker));
	assert_int_equal(asker_reason(&m.asker), LINK_REASON_TIME);
	assert_true(m.destination_runs);
	m.link.cut = false;
	steps(SECONDS);
	assert_true(m.arrived.n < VM_PAGES);
	asker_retry(&m.asker, m.now);
	ends_right();
}

/* Whoever recorded all of a session says it again: nothing of it opens. */
static void a_replayed_session_opens_nothing(void **state)
{
	struct faulty_datagram *d;
	uint64_t sessions;

	(void)state;
	begin_with(&none);
	machines_begin(&m);
	ends_right();
	sessions = m.answerer.stats.sessions;
	for (unsigned int i = 0; i < FAULTY_RECORDED; i++) {
		d = &m.link.recorded[i];
		if (d->way == FAULTY_TO_ANSWERER)
			assert_false(answerer_receive(&m.answerer, m.now, d->bytes, d->n));
	}
	assert_int_equal(m.answerer.stats.sessions, sessions);
	assert_true(m.answerer.stats.replayed > 0);
	machines_restart_source(&m, true);
	for (unsigned int i = 0; i < FAULTY_RECORDED; i++) {
		d = &m.link.recorded[i];
		if (d->way == FAULTY_TO_ANSWERER)
			assert_false(answerer_receive(&m.answerer, m.now, d->bytes, d->n));
	}
	assert_int_equal(m.answerer.stats.sessions, 0);
}

#define RECORDED 16

/* All that the asker says until its session is open. */
static struct {
	size_t n;
	uint8_t bytes[LINK_DATAGRAM_MAX];
} said[RECORDED];

static unsigned int record_opening(void)
{
	uint8_t datagram[LINK_DATAGRAM_MAX];
	unsigned int n = 0;
	bool stranger;
	size_t bytes;

	while (m.asker.session != ASKER_OPEN && n < RECORDED) {
		m.now += 1000;
		said[n].n = asker_poll(&m.asker, m.now, said[n].bytes);
		if (said[n].n)
			(void)answerer_receive(&m.answerer, m.now, said[n].bytes, said[n].n);
		n += said[n].n > 0;
		while ((bytes = answerer_poll(&m.answerer, m.now, datagram, &stranger)))
			asker_receive(&m.asker, m.now, datagram, bytes);
	}
	assert_int_equal(m.asker.session, ASKER_OPEN);
	return n;
}

/* While another session is open, and again to a source that was restarted. */
static void a_whole_recorded_opening_opens_nothing(void **state)
{
	uint8_t datagram[LINK_DATAGRAM_MAX];
	unsigned int n;
	bool stranger;

	(void)state;
	begin_with(&none);
	machines_begin(&m);
	n = record_opening();
	assert_in_range(n, 2, RECORDED - 1);
	asker_retry(&m.asker, m.now);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
	assert_int_equal(m.answerer.stats.sessions, 2);
	for (unsigned int i = 0; i < n; i++) {
		assert_false(answerer_receive(&m.answerer, m.now, said[i].bytes, said[i].n));
		while (answerer_poll(&m.answerer, m.now, datagram, &stranger))
			continue;
	}
	assert_int_equal(m.answerer.stats.sessions, 2);
	machines_kill_source(&m);
	machines_restart_source(&m, true);
	for (unsigned int i = 0; i < n; i++)
		assert_false(answerer_receive(&m.answerer, m.now, said[i].bytes, said[i].n));
	assert_int_equal(m.answerer.stats.sessions, 0);
	ends_right();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mismatch_is_refused_by_name),
		cmocka_unit_test(backing_may_differ),
		cmocka_unit_test(a_state_that_is_too_large_is_refused),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(no_key_and_a_key_do_not_talk),
		cmocka_unit_test(without_a_key_neither_begins),
		cmocka_unit_test(who_cannot_load_the_state_leaves_the_guest_where_it_is),
		cmocka_unit_test(a_late_take_is_refused_and_the_next_attempt_goes),
		cmocka_unit_test(a_take_of_an_earlier_image_is_refused),
		cmocka_unit_test(a_state_is_of_one_image),
		cmocka_unit_test(the_source_never_resumes),
		cmocka_unit_test(nobody_else_gets_what_was_given_away),
		cmocka_unit_test(a_snapshot_can_be_restored_again),
		cmocka_unit_test(after_a_cut_only_what_is_owed_is_asked_for),
		cmocka_unit_test(another_image_is_refused_by_name_and_the_right_one_goes_on),
		cmocka_unit_test(after_the_limit_it_is_cut_and_can_go_on),
		cmocka_unit_test(a_replayed_session_opens_nothing),
		cmocka_unit_test(a_whole_recorded_opening_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
