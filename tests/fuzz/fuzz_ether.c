/* SPDX-License-Identifier: MIT */
/*
 * A frame: any bytes. What is read lies in the frame, and is a datagram that this end would have
 * wrapped, but for what the reader does not look at; only the peer's word says where it is.
 */
#include "hv/net/ether.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define IP   0x0a630001
#define PEER 0x0a630002

/* As the other end, which wraps the same payload. */
static void check_datagram(const struct ether *e, const uint8_t *frame, size_t bytes,
			   const struct ether_datagram *d)
{
	struct ether other = { .ip = PEER, .peer_ip = IP, .port = e->port, .met = true };
	uint8_t again[ETHER_FRAME_MAX];

	fuzz_check(d->payload == frame + ETHER_HEADERS && ETHER_HEADERS + d->bytes <= bytes);
	memcpy(other.peer_mac, e->mac, 6);
	ether_wrap(&other, again, 0);
	fuzz_check(!memcmp(again, frame, 6) && !memcmp(again + 12, frame + 12, 3));
	fuzz_check(!memcmp(again + 26, frame + 26, 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ether e = { .mac = { 2, 0, 0, 0, 0, 1 }, .ip = IP, .peer_ip = PEER, .port = 7411 };
	uint8_t frame[ETHER_FRAME_MAX];
	struct ether_datagram d;
	enum ether_kind kind = ether_read(&e, data, size, &d);

	fuzz_check(e.met == (kind == ETHER_ASKED || kind == ETHER_MET));
	if (kind == ETHER_DATAGRAM)
		check_datagram(&e, data, size, &d);
	if (kind == ETHER_ASKED) {
		fuzz_check(ether_answer(&e, frame) == ETHER_FRAME_MIN);
		fuzz_check(!memcmp(frame, data + 22, 6));
	}
	return 0;
}
