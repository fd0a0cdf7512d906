/* SPDX-License-Identifier: MIT */
/* Recorded openings, packed pages, and what only looks like one. */
#include "tests/host/link/case.h"

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

/* --- packed ----------------------------------------------------------------------------------- */

static void pack_with(bool source, bool destination)
{
	begin_with(&(struct faults){ .delay = 100, .each = 10, .lose = 50, .corrupt = 10 });
	m.vm.plain = true;
	m.answerer_setup.offer.features |= source ? LINK_FEATURE_PACKED : 0;
	m.asker_setup.offer.features |= destination ? LINK_FEATURE_PACKED : 0;
	machines_begin(&m);
	ends_right();
}

static void pages_are_packed_where_both_sides_can(void **state)
{
	(void)state;
	pack_with(true, true);
	assert_int_equal(m.asker.stats.pages_packed, m.asker.stats.pages_came);
	assert_true(m.answerer.stats.bytes_sent * 3 < machines_data_bytes(&m));
	pack_with(true, false);
	assert_int_equal(m.answerer.stats.pages_packed + m.asker.stats.pages_packed, 0);
	pack_with(false, true);
	assert_int_equal(m.answerer.stats.pages_packed + m.asker.stats.pages_packed, 0);
}

/* What does not pack to a third travels as ever. */
static void random_pages_are_not_packed(void **state)
{
	(void)state;
	begin_with(&none);
	m.answerer_setup.offer.features |= LINK_FEATURE_PACKED;
	m.asker_setup.offer.features |= LINK_FEATURE_PACKED;
	machines_begin(&m);
	ends_right();
	assert_int_equal(m.answerer.stats.pages_packed, 0);
}

/* Into exactly 4 KiB, from exactly as many bytes as there are: the sanitizer sees all others. */
static bool unpacks(const uint8_t *from, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1), *page = malloc(PAGE_SIZE);
	bool good;

	memcpy(copy, from, n);
	good = unpack_page(copy, n, page);
	free(copy);
	free(page);
	return good;
}

static void what_is_no_packed_page_is_refused(void **state)
{
	/* 300 literals are promised, and then far more; a match that is further back than the page.
	 */
	static const uint8_t literals[] = { 0xf0, 255, 30, 1, 2, 3 },
			     match[] = { 0x1f, 7, 9, 0, 255, 255, 0 };
	static uint8_t page[PAGE_SIZE], packed[LINK_PIECE_BYTES];
	static uint64_t room[PACK_ROOM / 8];
	size_t n;

	(void)state;
	memset(page, 0x5a, 2000);
	n = pack_page(page, room, packed);
	assert_in_range(n, 1, 100);
	assert_true(unpacks(packed, n));
	for (size_t less = 0; less < n; less++)
		assert_false(unpacks(packed, less));
	packed[n] = 0;
	assert_false(unpacks(packed, n + 1));
	assert_false(unpacks(literals, sizeof(literals)));
	assert_false(unpacks(match, sizeof(match)));
	for (unsigned int i = 0; i < n * 256; i++) {
		packed[i / 256] ^= (uint8_t)(i % 256);
		(void)unpacks(packed, n);
		packed[i / 256] ^= (uint8_t)(i % 256);
	}
}

/* Sealed as it must be, by a source that means harm. */
static void garbage_in_place_of_a_packed_page_is_dropped(void **state)
{
	uint8_t datagram[LINK_DATAGRAM_MAX] = { 0 };
	struct channel forger;
	struct link_body body;
	uint64_t n = 0;

	(void)state;
	begin_with(&none);
	m.answerer_setup.offer.features |= LINK_FEATURE_PACKED;
	m.asker_setup.offer.features |= LINK_FEATURE_PACKED;
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_RUNS, SECONDS));
	steps(200);
	forger = (struct channel){ .session = m.asker.channel.session,
				   .suite = m.asker.channel.suite,
				   .out = m.asker.channel.in };
	for (unsigned int i = 0; i < PAGES; i++) {
		if (m.pages[i].state != ASKER_ASKED)
			continue;
		body = link_body(LINK_PACKED_PAGE, 0, m.pages[i].gfn);
		memcpy(datagram + sizeof(struct link_head), &body, sizeof(body));
		forger.sent = m.asker.channel.high;
		asker_receive(&m.asker, m.now, datagram,
			      channel_seal(&forger, datagram, sizeof(body) + 200));
		assert_int_equal(m.pages[i].state, ASKER_ASKED);
		n++;
	}
	assert_true(n > 0);
	assert_int_equal(m.asker.stats.bad_form, n);
	ends_right();
}

/* Sealed, of the right size, and of no image that the source has now. */
static void a_piece_of_another_state_is_not_taken(void **state)
{
	uint8_t datagram[LINK_DATAGRAM_MAX] = { 0 };
	struct channel forger;
	struct link_body body;
	uint64_t unasked;

	(void)state;
	begin_with(&none);
	machines_begin(&m);
	assert_true(machines_until(&m, ASKER_WAITING, SECONDS));
	while (!m.asker.there.state_bytes)
		machines_step(&m);
	assert_int_equal(asker_phase(&m.asker), ASKER_WAITING);
	forger = (struct channel){ .session = m.asker.channel.session,
				   .suite = m.asker.channel.suite,
				   .out = m.asker.channel.in,
				   .sent = m.asker.channel.high };
	body = link_body(LINK_STATE, 1, m.asker.there.state_bytes);
	memcpy(datagram + sizeof(struct link_head), &body, sizeof(body));
	unasked = m.asker.stats.unasked;
	asker_receive(&m.asker, m.now, datagram,
		      channel_seal(&forger, datagram, sizeof(body) + LINK_ID + LINK_PIECE_BYTES));
	assert_int_equal(m.asker.stats.unasked, unasked + 1);
	assert_false(m.asker.state_have & 2);
	ends_right();
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
		cmocka_unit_test(a_replayed_session_opens_nothing),
		cmocka_unit_test(a_whole_recorded_opening_opens_nothing),
		cmocka_unit_test(pages_are_packed_where_both_sides_can),
		cmocka_unit_test(random_pages_are_not_packed),
		cmocka_unit_test(what_is_no_packed_page_is_refused),
		cmocka_unit_test(garbage_in_place_of_a_packed_page_is_dropped),
		cmocka_unit_test(a_piece_of_another_state_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
