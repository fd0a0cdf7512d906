/* SPDX-License-Identifier: MIT */
/*
 * Datagrams in Ethernet frames: UDP over IPv4 without options and fragments (RFC 768, 791), and ARP
 * to find the peer (RFC 826). Just enough for two machines that know each other's addresses. Pure.
 *
 * Whatever comes may be forged: a frame is looked at only as far as it has bytes. UDP's checksum is
 * neither made nor looked at: what travels here is sealed, or has a sum of its own.
 */
#ifndef HV_NET_ETHER_H
#define HV_NET_ETHER_H

#include "mm/types.h"

#define ETHER_FRAME_MIN   60 /* bytes, without the checksum */
#define ETHER_FRAME_MAX   1514
#define ETHER_HEADERS     42 /* before a datagram's payload */
#define ETHER_PAYLOAD_MAX (ETHER_FRAME_MAX - ETHER_HEADERS)

/* The two ends. */
struct ether {
	uint8_t mac[6], peer_mac[6];
	bool met;             /* peer_mac is known */
	uint32_t ip, peer_ip; /* host byte order */
	uint16_t port;        /* of both */
};

enum ether_kind {
	ETHER_NOTHING,  /* not for us, or nothing that makes sense */
	ETHER_DATAGRAM, /* payload and bytes are set */
	ETHER_ASKED,    /* the peer asks where we are: send ether_answer() */
	ETHER_MET,      /* the peer says where it is */
};

struct ether_datagram {
	const uint8_t *payload;
	size_t bytes;
};

/* Writes the headers of a datagram whose payload of `bytes` lies at frame + ETHER_HEADERS. The peer
 * is met. Return: bytes of the frame. */
size_t ether_wrap(const struct ether *e, uint8_t *frame, size_t bytes);

/* Writes a frame that asks everybody where the peer is, and one that answers the peer's question.
 * Return: bytes of the frame. */
size_t ether_ask(const struct ether *e, uint8_t *frame);
size_t ether_answer(const struct ether *e, uint8_t *frame);

/* Looks at a frame that came. Notes where the peer is, if it says so. */
enum ether_kind ether_read(struct ether *e, const uint8_t *frame, size_t bytes,
			   struct ether_datagram *datagram);

#endif
