/* SPDX-License-Identifier: MIT */
/* How pages are asked for and come, between two machines (tests/host/link/). */
#include "tests/host/link/link_case.h"

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
	assert_in_range(m.asker.stats.again_timed_out, 1, 4 * (WINDOW + FAULTS_MAX));
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
	assert_true(m.answerer.stats.datagrams_sent - before <= 6 + FAULTS_MAX);
	assert_int_equal(m.asker.stats.pages_came, 0);
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
		cmocka_unit_test(latencies_are_as_many_as_urgent_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
