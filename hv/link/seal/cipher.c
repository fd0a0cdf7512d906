/* SPDX-License-Identifier: MIT */
/* Which cipher a suite is; and none. See hv/link/seal/cipher.h. */
#include "hv/link/seal/cipher.h"

#include "hv/base/string.h"

/* A checksum against accidents, not against anybody: no multiplication in it loses information, and
 * each step depends on the place. */
static uint64_t sum(uint64_t h, const void *data, size_t n)
{
	const uint8_t *at = data;

	for (; n; n -= MIN(n, (size_t)8)) {
		uint64_t word = 0;

		memcpy(&word, at, MIN(n, (size_t)8));
		at += MIN(n, (size_t)8);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h;
}

static void none_run(const struct cipher_text *text, bool seal, uint8_t tag[LINK_TAG])
{
	uint64_t h[2];

	(void)seal;
	h[0] = sum(text->bytes, text->key, CIPHER_KEY);
	h[0] = sum(h[0], text->nonce, CIPHER_NONCE);
	h[0] = sum(h[0], text->clear, text->clear_bytes);
	h[0] = sum(h[0], text->data, text->bytes);
	h[1] = h[0] * UINT64_C(0xff51afd7ed558ccd);
	memcpy(tag, h, LINK_TAG);
}

static const struct cipher cipher_none = {
	.name = "none",
	.run = none_run,
};

const struct cipher *cipher_of(unsigned int suite)
{
	static const struct cipher *const ciphers[LINK_SUITES] = {
		[LINK_SUITE_NONE] = &cipher_none,
		[LINK_SUITE_CHACHA] = &cipher_chacha,
		[LINK_SUITE_AES] = &cipher_aes,
	};

	return suite < LINK_SUITES ? ciphers[suite] : NULL;
}
