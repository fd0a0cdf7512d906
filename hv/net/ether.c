/* SPDX-License-Identifier: MIT */
/* Datagrams in Ethernet frames. See hv/net/ether.h. */
#include "hv/net/ether.h"

/* Offsets in a frame. */
#define DESTINATION 0
#define SOURCE      6
#define TYPE        12
#define BODY        14

/* In a body: IPv4 (RFC 791, 3.1), then UDP behind it. */
#define IP_VERSION     (BODY + 0)
#define IP_LENGTH      (BODY + 2)
#define IP_FRAGMENT    (BODY + 6)
#define IP_TTL         (BODY + 8)
#define IP_PROTOCOL    (BODY + 9)
#define IP_SUM         (BODY + 10)
#define IP_SOURCE      (BODY + 12)
#define IP_DESTINATION (BODY + 16)
#define IP_BYTES       20
#define UDP            (BODY + IP_BYTES)
#define UDP_BYTES      8

#define TYPE_IP        0x0800
#define TYPE_ARP       0x0806
#define IP_PLAIN       0x45 /* version 4, five words of header */
#define IP_DONT        0x4000
#define IP_PIECE       0x3fff /* more fragments, or an offset */
#define PROTOCOL_UDP   17
#define TIME_TO_LIVE   64
#define ARP_BYTES      28
#define ARP_ASK        1
#define ARP_ANSWER     2
#define ARP_OPERATION  (BODY + 6)
#define ARP_SENDER_MAC (BODY + 8)
#define ARP_SENDER_IP  (BODY + 14)
#define ARP_TARGET_MAC (BODY + 18)
#define ARP_TARGET_IP  (BODY + 24)

static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
/* Ethernet, IPv4, with addresses of 6 and 4 bytes. */
static const uint8_t arp_kind[6] = { 0, 1, 0x08, 0x00, 6, 4 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* The one's complement of the header's sum (RFC 1071): 0 if its checksum is in it and right. */
static uint16_t ip_sum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < IP_BYTES; i += 2)
		sum += get16(header + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* --- writing ------------------------------------------------------------------------------ */

static void begin(const struct ether *e, uint8_t *frame, const uint8_t *to, uint16_t type)
{
	__builtin_memcpy(frame + DESTINATION, to, 6);
	__builtin_memcpy(frame + SOURCE, e->mac, 6);
	put16(frame + TYPE, type);
}

size_t ether_wrap(const struct ether *e, uint8_t *frame, size_t bytes)
{
	begin(e, frame, e->peer_mac, TYPE_IP);
	__builtin_memset(frame + BODY, 0, IP_BYTES + UDP_BYTES);
	frame[IP_VERSION] = IP_PLAIN;
	put16(frame + IP_LENGTH, (uint16_t)(IP_BYTES + UDP_BYTES + bytes));
	put16(frame + IP_FRAGMENT, IP_DONT);
	frame[IP_TTL] = TIME_TO_LIVE;
	frame[IP_PROTOCOL] = PROTOCOL_UDP;
	put32(frame + IP_SOURCE, e->ip);
	put32(frame + IP_DESTINATION, e->peer_ip);
	put16(frame + IP_SUM, ip_sum(frame + BODY));
	put16(frame + UDP, e->port);
	put16(frame + UDP + 2, e->port);
	put16(frame + UDP + 4, (uint16_t)(UDP_BYTES + bytes));
	return ETHER_HEADERS + bytes;
}

static size_t arp(const struct ether *e, uint8_t *frame, const uint8_t *to, uint16_t operation)
{
	__builtin_memset(frame, 0, ETHER_FRAME_MIN);
	begin(e, frame, to, TYPE_ARP);
	__builtin_memcpy(frame + BODY, arp_kind, sizeof(arp_kind));
	put16(frame + ARP_OPERATION, operation);
	__builtin_memcpy(frame + ARP_SENDER_MAC, e->mac, 6);
	put32(frame + ARP_SENDER_IP, e->ip);
	if (operation == ARP_ANSWER)
		__builtin_memcpy(frame + ARP_TARGET_MAC, to, 6);
	put32(frame + ARP_TARGET_IP, e->peer_ip);
	return ETHER_FRAME_MIN;
}

size_t ether_ask(const struct ether *e, uint8_t *frame)
{
	return arp(e, frame, everybody, ARP_ASK);
}

size_t ether_answer(const struct ether *e, uint8_t *frame)
{
	return arp(e, frame, e->peer_mac, ARP_ANSWER);
}

/* --- reading ------------------------------------------------------------------------------ */

static enum ether_kind read_arp(struct ether *e, const uint8_t *frame, size_t bytes)
{
	uint16_t operation;

	if (bytes < BODY + ARP_BYTES || __builtin_memcmp(frame + BODY, arp_kind, sizeof(arp_kind)))
		return ETHER_NOTHING;
	operation = get16(frame + ARP_OPERATION);
	if ((operation != ARP_ASK && operation != ARP_ANSWER) ||
	    get32(frame + ARP_SENDER_IP) != e->peer_ip || get32(frame + ARP_TARGET_IP) != e->ip)
		return ETHER_NOTHING;
	__builtin_memcpy(e->peer_mac, frame + ARP_SENDER_MAC, 6);
	e->met = true;
	return operation == ARP_ASK ? ETHER_ASKED : ETHER_MET;
}

/* The header is whole, and the datagram is not a piece of one. */
static bool is_plain(const uint8_t *frame)
{
	return frame[IP_VERSION] == IP_PLAIN && !(get16(frame + IP_FRAGMENT) & IP_PIECE) &&
	       frame[IP_PROTOCOL] == PROTOCOL_UDP && !ip_sum(frame + BODY);
}

static bool is_ours(const struct ether *e, const uint8_t *frame)
{
	return get32(frame + IP_SOURCE) == e->peer_ip && get32(frame + IP_DESTINATION) == e->ip &&
	       get16(frame + UDP) == e->port && get16(frame + UDP + 2) == e->port;
}

static enum ether_kind read_ip(const struct ether *e, const uint8_t *frame, size_t bytes,
			       struct ether_datagram *datagram)
{
	size_t ip, udp;

	if (bytes < ETHER_HEADERS || !is_plain(frame) || !is_ours(e, frame))
		return ETHER_NOTHING;
	/* A short frame is padded, so what the headers say counts; it must be there. */
	ip = get16(frame + IP_LENGTH);
	udp = get16(frame + UDP + 4);
	if (ip > bytes - BODY || udp < UDP_BYTES || ip != IP_BYTES + udp)
		return ETHER_NOTHING;
	*datagram = (struct ether_datagram){ frame + ETHER_HEADERS, udp - UDP_BYTES };
	return ETHER_DATAGRAM;
}

enum ether_kind ether_read(struct ether *e, const uint8_t *frame, size_t bytes,
			   struct ether_datagram *datagram)
{
	bool to_all;

	if (bytes < BODY)
		return ETHER_NOTHING;
	to_all = !__builtin_memcmp(frame + DESTINATION, everybody, 6);
	if (!to_all && __builtin_memcmp(frame + DESTINATION, e->mac, 6))
		return ETHER_NOTHING;
	if (get16(frame + TYPE) == TYPE_ARP)
		return read_arp(e, frame, bytes);
	if (get16(frame + TYPE) == TYPE_IP && !to_all)
		return read_ip(e, frame, bytes, datagram);
	return ETHER_NOTHING;
}
