/* SPDX-License-Identifier: MIT */
/* Datagrams in Ethernet frames: what one end writes the other reads, and nothing else is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/net/ether.h"

#define PORT 7411

static struct ether a, b;
static uint8_t frame[ETHER_FRAME_MAX];

static int two_ends(void **state)
{
	(void)state;
	a = (struct ether){
		.mac = { 2, 0, 0, 0, 0, 1 }, .ip = 0x0a630001, .peer_ip = 0x0a630002, .port = PORT
	};
	b = (struct ether){
		.mac = { 2, 0, 0, 0, 0, 2 }, .ip = 0x0a630002, .peer_ip = 0x0a630001, .port = PORT
	};
	memset(frame, 0x55, sizeof(frame));
	return 0;
}

static void meet(void)
{
	memcpy(a.peer_mac, b.mac, 6);
	memcpy(b.peer_mac, a.mac, 6);
	a.met = b.met = true;
}

/* From memory of exactly this size, so that reading beyond it is noticed. */
static enum ether_kind read_by(struct ether *e, size_t bytes, struct ether_datagram *d)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);
	enum ether_kind kind;

	memcpy(copy, frame, bytes);
	kind = ether_read(e, copy, bytes, d);
	if (kind == ETHER_DATAGRAM) {
		assert_true(d->payload >= copy && d->payload + d->bytes <= copy + bytes);
		d->payload = frame + (d->payload - copy);
	}
	free(copy);
	return kind;
}

static size_t datagram_of(const char *text)
{
	memcpy(frame + ETHER_HEADERS, text, strlen(text));
	return ether_wrap(&a, frame, strlen(text));
}

static void the_question_and_its_answer_make_both_ends_meet(void **state)
{
	struct ether_datagram d;
	size_t bytes = ether_ask(&a, frame);

	(void)state;
	assert_int_equal(read_by(&b, bytes, &d), ETHER_ASKED);
	assert_true(b.met);
	assert_memory_equal(b.peer_mac, a.mac, 6);
	bytes = ether_answer(&b, frame);
	assert_int_equal(read_by(&a, bytes, &d), ETHER_MET);
	assert_memory_equal(a.peer_mac, b.mac, 6);
}

static void what_is_wrapped_is_read_again(void **state)
{
	struct ether_datagram d;
	size_t bytes;

	(void)state;
	meet();
	bytes = datagram_of("a page");
	assert_int_equal(bytes, ETHER_HEADERS + 6);
	assert_int_equal(read_by(&b, bytes, &d), ETHER_DATAGRAM);
	assert_int_equal(d.bytes, 6);
	assert_memory_equal(d.payload, "a page", 6);
	/* A device pads it. */
	assert_int_equal(read_by(&b, ETHER_FRAME_MIN, &d), ETHER_DATAGRAM);
	assert_int_equal(d.bytes, 6);
}

static void the_largest_and_the_smallest_payload_fit(void **state)
{
	struct ether_datagram d;

	(void)state;
	meet();
	assert_int_equal(ether_wrap(&a, frame, ETHER_PAYLOAD_MAX), ETHER_FRAME_MAX);
	assert_int_equal(read_by(&b, ETHER_FRAME_MAX, &d), ETHER_DATAGRAM);
	assert_int_equal(d.bytes, ETHER_PAYLOAD_MAX);
	assert_int_equal(read_by(&b, ether_wrap(&a, frame, 0), &d), ETHER_DATAGRAM);
	assert_int_equal(d.bytes, 0);
}

/* RFC 1071's sum, over what stands there. */
static void the_headers_are_those_of_the_rfcs(void **state)
{
	static const uint8_t wanted[] = {
		2,    0,    0,    0, 0, 2,  2, 0, 0,    0, 0,  1,
		0x08, 0x00, 0x45, 0, 0, 34, 0, 0, 0x40, 0, 64, 17,
	};
	uint32_t sum = 0;

	(void)state;
	meet();
	datagram_of("a page");
	assert_memory_equal(frame, wanted, sizeof(wanted));
	for (unsigned int i = 14; i < 34; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

static void a_frame_that_is_cut_is_not_read(void **state)
{
	struct ether_datagram d;
	size_t bytes;

	(void)state;
	meet();
	bytes = datagram_of("a page");
	for (size_t n = 0; n < bytes; n++)
		assert_int_equal(read_by(&b, n, &d), ETHER_NOTHING);
	bytes = ether_ask(&a, frame);
	for (size_t n = 0; n < 42; n++)
		assert_int_equal(read_by(&b, n, &d), ETHER_NOTHING);
}

/* Every bit of every header counts, but for those of fields that no reader needs. */
static void no_frame_with_another_header_is_read(void **state)
{
	struct ether_datagram d;
	size_t bytes;

	(void)state;
	meet();
	bytes = datagram_of("a page");
	for (unsigned int bit = 0; bit < 8 * ETHER_HEADERS; bit++) {
		unsigned int at = bit / 8;

		/* The sender's address on the wire; UDP's checksum. */
		if ((at >= 6 && at < 12) || at >= 40)
			continue;
		frame[at] ^= 1u << bit % 8;
		assert_int_equal(read_by(&b, bytes, &d), ETHER_NOTHING);
		frame[at] ^= 1u << bit % 8;
	}
	assert_int_equal(read_by(&b, bytes, &d), ETHER_DATAGRAM);
}

static void a_stranger_cannot_say_where_the_peer_is(void **state)
{
	struct ether_datagram d;
	size_t bytes;

	(void)state;
	a.ip = 0x0a630003;
	bytes = ether_ask(&a, frame);
	assert_int_equal(read_by(&b, bytes, &d), ETHER_NOTHING);
	assert_false(b.met);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_question_and_its_answer_make_both_ends_meet, two_ends),
		cmocka_unit_test_setup(what_is_wrapped_is_read_again, two_ends),
		cmocka_unit_test_setup(the_largest_and_the_smallest_payload_fit, two_ends),
		cmocka_unit_test_setup(the_headers_are_those_of_the_rfcs, two_ends),
		cmocka_unit_test_setup(a_frame_that_is_cut_is_not_read, two_ends),
		cmocka_unit_test_setup(no_frame_with_another_header_is_read, two_ends),
		cmocka_unit_test_setup(a_stranger_cannot_say_where_the_peer_is, two_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
