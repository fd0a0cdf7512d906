/* SPDX-License-Identifier: MIT */
/* The switch-over and its failures, case by case, between two machines (tests/host/link/). */
#include "tests/host/link/case.h"

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

/* --- it goes ---------------------------------------------------------------------------------- */

/* From the switch-over on: before it the state travels, and what the sides say of themselves. */
static void pages_without_faults_take_little_more_than_their_bytes(void **state)
{
	uint64_t before;

	(void)state;
	begin_with(&none);
	for (unsigned int i = 0; i < VM_PAGES; i++)
		m.vm.kind[i] = i % 16 < 12 ? VM_DATA : VM_ZERO;
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
	before = m.answerer.stats.bytes_sent;
	assert_true(before < VM_STATE + 1500);
	ends_right();
	assert_true((m.answerer.stats.bytes_sent - before) * 100 <= 103 * machines_data_bytes(&m));
	assert_int_equal(m.asker.stats.pieces_again, 0);
	assert_int_equal(m.asker.stats.pages_came * PAGE_SIZE, machines_data_bytes(&m));
	assert_true(answerer_done(&m.answerer));
}

/* What the source sends for each 100 bytes of contents. While the pages come, the machines stand
 * still for so many us. */
static uint64_t payload(const struct faults *faults, uint64_t source, uint64_t destination)
{
	uint64_t before;

	begin_with(faults);
	memset(m.vm.kind, VM_DATA, sizeof(m.vm.kind));
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, 60 * SECONDS));
	before = m.answerer.stats.bytes_sent;
	steps(2000);
	m.source_stands = m.now + source;
	m.destination_stands = m.now + destination;
	ends_right();
	return (m.answerer.stats.bytes_sent - before) * 100 / machines_data_bytes(&m);
}

/* Two machines that share a host: either stands still now and then, and nothing is lost. */
static void what_is_late_is_not_asked_for_again(void **state)
{
	(void)state;
	assert_in_range(payload(&none, 15000, 0), 100, 102);
	assert_int_equal(m.asker.stats.pieces_again, m.asker.stats.pieces_duplicate);
	assert_int_equal(m.asker.stats.again_overtaken + m.asker.stats.again_timed_out, 0);
	assert_in_range(payload(&none, 0, 70000), 100, 102);
	assert_int_equal(m.asker.stats.again_overtaken + m.asker.stats.again_timed_out, 0);
}

static void a_link_that_jitters_does_not_lose(void **state)
{
	(void)state;
	assert_in_range(payload(&(struct faults){ .delay = 100, .each = 10, .jitter = 900 }, 0, 0),
			100, 105);
	assert_in_range(m.asker.stats.again_overtaken + m.asker.stats.again_timed_out, 0, 4);
}

/* Each timer is twice the one before, that of a page that is asked for meanwhile, too. */
static void a_longer_stop_costs_its_pages_a_few_times(void **state)
{
	(void)state;
	(void)payload(&none, 300000, 0);
	assert_in_range(m.asker.stats.again_timed_out, 1, 4 * (WINDOW + m.faults_max));
}

/* Karn's rule alone would have each page asked for twice, and learn nothing by it. */
static void a_link_that_becomes_slower_is_learnt(void **state)
{
	(void)state;
	begin_with(&none);
	memset(m.vm.kind, VM_DATA, sizeof(m.vm.kind));
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, 60 * SECONDS));
	steps(2000);
	m.link.faults.delay = 30000;
	ends_right();
	assert_in_range(m.asker.stats.again_timed_out, 1, 2 * WINDOW);
}

/* A run is sent with the first ask that it answers a part of, before the asks in between. */
static void a_run_overtakes_nothing(void **state)
{
	(void)state;
	begin_with(&(struct faults){ .delay = 100, .each = 100 });
	for (unsigned int i = 0; i < VM_PAGES; i++)
		m.vm.kind[i] = i % 32 < 15 ? VM_DATA : VM_ZERO;
	machines_begin(&m);
	ends_right();
	assert_int_equal(m.asker.stats.again_overtaken, 0);
}

/* The timer is long, and yet a link that loses is not waited for. */
static void what_is_overtaken_is_asked_for_at_once(void **state)
{
	uint64_t begun;

	(void)state;
	begin_with(&(struct faults){ .delay = 100, .each = 10, .lose = 100 });
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, 60 * SECONDS));
	begun = m.now;
	ends_right();
	assert_true(m.asker.stats.again_overtaken > 4 * m.asker.stats.again_timed_out);
	assert_true(m.now - begun < 40000);
}

static void zeros_are_one_message(void **state)
{
	uint64_t before;

	(void)state;
	begin_with(&none);
	memset(m.vm.kind, VM_ZERO, sizeof(m.vm.kind));
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
	before = m.answerer.stats.datagrams_sent;
	ends_right();
	/* Four requests were under way when the answer came; each is answered by all of the run. */
	assert_true(m.answerer.stats.datagrams_sent - before <= 6 + m.faults_max);
	assert_int_equal(m.asker.stats.pages_came, 0);
}

/* A guest that touches nothing, and no stream: pages are asked for by the test alone. */
static void run_still(const struct faults *faults, enum vm_page kind)
{
	begin_with(faults);
	memset(m.vm.kind, (int)kind, sizeof(m.vm.kind));
	m.idle = true;
	m.faults_max = 0;
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
}

static void ask_for(gfn_t gfn, uint64_t frames)
{
	assert_int_equal(asker_ask(&m.asker, m.now, gfn, frames, false), 0);
	m.under_way++;
}

static void a_run_is_given_out_once(void **state)
{
	(void)state;
	run_still(&none, VM_ZERO);
	ask_for(0, 16);
	steps(3000);
	assert_int_equal(m.arrived.n, VM_PAGES);
	assert_int_equal(m.duplicates, 0);
	assert_int_equal(m.under_way, 0);
}

/* It is taken out of the background, where it has not been sent. */
static void a_page_that_becomes_urgent_is_sent_once(void **state)
{
	(void)state;
	run_still(&(struct faults){ .delay = 100, .each = 100 }, VM_DATA);
	for (gfn_t gfn = 0; gfn < 48; gfn += 16)
		ask_for(gfn, 16);
	steps(2000);
	assert_false(m.arrived.here[15]);
	assert_int_equal(asker_ask(&m.asker, m.now, 15, 1, true), 0);
	m.faults = 1;
	steps(30000);
	assert_int_equal(m.arrived.n, 48);
	assert_int_equal(m.waits, 1);
	assert_int_equal(m.asker.stats.pieces_duplicate, 0);
}

/* The timers, of 20 ms at least, are not waited for. */
static void a_new_session_asks_at_once_for_what_was_under_way(void **state)
{
	(void)state;
	run_still(&none, VM_DATA);
	ask_for(0, 16);
	steps(60);
	asker_retry(&m.asker, m.now);
	steps(4000);
	assert_int_equal(m.arrived.n, 16);
}

static void latencies_are_as_many_as_urgent_requests(void **state)
{
	uint64_t sum = 0;

	(void)state;
	begin_with(&(struct faults){ .delay = 100, .each = 10, .lose = 50 });
	machines_begin(&m);
	ends_right();
	for (unsigned int i = 0; i < ASKER_BUCKETS; i++)
		sum += m.asker.latency[i];
	assert_true(sum > 0);
	assert_int_equal(sum, m.urgent);
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
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_without_faults_take_little_more_than_their_bytes),
		cmocka_unit_test(what_is_late_is_not_asked_for_again),
		cmocka_unit_test(a_link_that_jitters_does_not_lose),
		cmocka_unit_test(a_longer_stop_costs_its_pages_a_few_times),
		cmocka_unit_test(a_link_that_becomes_slower_is_learnt),
		cmocka_unit_test(a_run_overtakes_nothing),
		cmocka_unit_test(what_is_overtaken_is_asked_for_at_once),
		cmocka_unit_test(zeros_are_one_message),
		cmocka_unit_test(a_run_is_given_out_once),
		cmocka_unit_test(a_page_that_becomes_urgent_is_sent_once),
		cmocka_unit_test(a_new_session_asks_at_once_for_what_was_under_way),
		cmocka_unit_test(latencies_are_as_many_as_urgent_requests),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
