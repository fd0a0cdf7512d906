/* SPDX-License-Identifier: MIT */
/* UDP on the 82540EM. See hv/net/udp.h. */
#include "hv/net/udp.h"

#include "hv/base/clock.h"
#include "hv/net/e1000.h"
#include "hv/net/ether.h"
#include "mm/err.h"

#define ASK_US    100000  /* between two questions where the peer is */
#define SILENT_US 1000000 /* it may have moved, if nothing came from it for so long */
#define LOOKS     64      /* frames in one poll that are no datagrams of ours */

static struct {
	struct transport transport;
	struct ether ether;
	uint64_t asked, heard; /* TSC */
} udp;

static void put(size_t bytes)
{
	udp.transport.counts.bytes_sent += bytes;
	e1000_send(bytes);
}

/* The question is broadcast, so it need not be repeated soon. */
static void ask_where(uint64_t now)
{
	uint8_t *frame;

	if (now - udp.asked < us_to_cycles(ASK_US) || !(frame = e1000_room()))
		return;
	udp.asked = now;
	put(ether_ask(&udp.ether, frame));
}

static int udp_send(struct transport *t, const void *data, size_t bytes)
{
	uint64_t now = clock_now();
	uint8_t *frame;

	if (!udp.ether.met || now - udp.heard > us_to_cycles(SILENT_US))
		ask_where(now);
	if (!udp.ether.met) {
		t->counts.unknown++;
		return -EAGAIN;
	}
	frame = e1000_room();
	if (!frame || bytes > t->payload_max) {
		t->counts.full++;
		return -EAGAIN;
	}
	__builtin_memcpy(frame + ETHER_HEADERS, data, bytes);
	t->counts.sent++;
	put(ether_wrap(&udp.ether, frame, bytes));
	return 0;
}

static bool udp_ready(struct transport *t)
{
	(void)t;
	return e1000_room();
}

/* Looks at one frame. NULL: it is no datagram of ours. */
static const void *look(struct transport *t, const uint8_t *frame, size_t *bytes)
{
	struct ether_datagram datagram;
	uint8_t *room;

	t->counts.bytes_received += *bytes;
	switch (ether_read(&udp.ether, frame, *bytes, &datagram)) {
	case ETHER_DATAGRAM:
		t->counts.received++;
		udp.heard = clock_now();
		*bytes = datagram.bytes;
		return datagram.payload;
	case ETHER_ASKED:
		room = e1000_room();
		if (room)
			put(ether_answer(&udp.ether, room));
		return NULL;
	case ETHER_MET:
		return NULL;
	default:
		t->counts.foreign++;
		return NULL;
	}
}

static const void *udp_poll(struct transport *t, size_t *bytes)
{
	const void *data = NULL;

	for (unsigned int i = 0; !data && i < LOOKS; i++) {
		const uint8_t *frame = e1000_poll(bytes);

		if (!frame)
			return NULL;
		data = look(t, frame, bytes);
	}
	return data;
}

struct transport *udp_open(uint32_t ip, uint32_t peer_ip)
{
	udp.transport = (struct transport){
		.name = "UDP on the 82540EM",
		.payload_max = ETHER_PAYLOAD_MAX,
		.send = udp_send,
		.ready = udp_ready,
		.poll = udp_poll,
	};
	udp.ether = (struct ether){ .ip = ip, .peer_ip = peer_ip, .port = UDP_PORT };
	return e1000_open(udp.ether.mac) ? NULL : &udp.transport;
}
