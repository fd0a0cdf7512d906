/* SPDX-License-Identifier: MIT */
/*
 * One session's sealing: a key for each direction, a counter that makes each datagram's nonce, and
 * a window that refuses what came before.
 */
#ifndef HV_LINK_CHANNEL_H
#define HV_LINK_CHANNEL_H

#include "hv/link/link.h"

#define CHANNEL_KEY    32  /* bytes, of which AES-128 uses 16 */
#define CHANNEL_SALT   4   /* bytes of a nonce before the counter */
#define CHANNEL_WINDOW 256 /* datagrams: one that is older than that is refused */

enum channel_side {
	CHANNEL_ASKER = 0,
	CHANNEL_ANSWERER = 1,
};

struct channel_direction {
	uint8_t key[CHANNEL_KEY];
	uint8_t salt[CHANNEL_SALT];
};

struct channel {
	uint32_t session; /* never 0 */
	uint8_t suite;
	struct channel_direction out, in;
	uint64_t sent;                      /* the last counter used */
	uint64_t high;                      /* the highest counter that came */
	uint64_t came[CHANNEL_WINDOW / 64]; /* bit n % CHANNEL_WINDOW: counter n came */
};

/* Why a datagram was not taken. */
enum channel_refusal {
	CHANNEL_FORM = 1, /* too short or too long */
	CHANNEL_SESSION,  /* of another session */
	CHANNEL_SEAL,     /* does not open */
	CHANNEL_REPLAY,   /* came before, or is too old to tell */
};

/* Makes the session's keys of the key and both nonces: all differ if one of the three does. */
void channel_init(struct channel *c, enum channel_side side, unsigned int suite,
		  const struct link_key *key, const uint8_t asker_nonce[LINK_NONCE],
		  const uint8_t answerer_nonce[LINK_NONCE]);

/* Forgets the keys. */
void channel_wipe(struct channel *c);

/**
 * channel_seal() - make a datagram of a body.
 * @datagram: LINK_DATAGRAM_MAX bytes, with the body at sizeof(struct link_head)
 * @bytes: of the body
 * Return: bytes of the datagram.
 */
size_t channel_seal(struct channel *c, void *datagram, size_t bytes);

/**
 * channel_open() - open a datagram.
 * @body: LINK_DATAGRAM_MAX bytes; the caller's. Undefined if the datagram is refused.
 * Return: bytes of the body, at least sizeof(struct link_body); or a channel_refusal, negated.
 */
int must_check channel_open(struct channel *c, const void *datagram, size_t bytes, void *body);

/* The same for link_open, whose clear part is another; the counter is filled in. */
size_t channel_seal_open(struct channel *c, struct link_open *clear, const struct link_offer *offer,
			 void *datagram);

/* Return: 0, or a channel_refusal, negated. */
int must_check channel_open_open(struct channel *c, const void *datagram, size_t bytes,
				 struct link_offer *offer);

#endif
