/* SPDX-License-Identifier: MIT */
/*
 * Ciphers that seal and open in place, and the derivation of keys. The work is BearSSL's; only
 * this folder includes it.
 */
#ifndef HV_LINK_SEAL_CIPHER_H
#define HV_LINK_SEAL_CIPHER_H

#include "hv/link/wire.h"

#define CIPHER_KEY   32 /* bytes, of which AES-128 uses the first 16 */
#define CIPHER_NONCE 12 /* bytes */

/* One datagram's part that is sealed, and the clear part before it, which is only vouched for. */
struct cipher_text {
	const uint8_t *key;
	const uint8_t *nonce;
	const void *clear;
	size_t clear_bytes;
	void *data;
	size_t bytes;
};

struct cipher {
	const char *name;
	/* Turns plain data into sealed, or back, in place; makes the tag of the sealed data. */
	void (*run)(const struct cipher_text *text, bool seal, uint8_t tag[LINK_TAG]);
};

/* NULL: there is no such suite in this build. */
const struct cipher *cipher_of(unsigned int suite);

/* --- chacha.c, aes.c ------------------------------------------------------------------------ */

extern const struct cipher cipher_chacha;

/* Uses vector registers: the caller has saved the guest's (struct link_key). */
extern const struct cipher cipher_aes;

/* --- derive.c ------------------------------------------------------------------------------- */

/* HKDF with SHA-256. Fills `to` with n bytes that depend on all three. */
void cipher_derive(const void *key, size_t key_bytes, const void *salt, size_t salt_bytes,
		   const void *purpose, size_t purpose_bytes, void *to, size_t n);

#endif
