/* SPDX-License-Identifier: MIT */
/* ChaCha20-Poly1305 (RFC 8439), without vector registers. */
#include <bearssl_block.h>

#include "hv/link/seal/cipher.h"

static void chacha_run(const struct cipher_text *text, bool seal, uint8_t tag[LINK_TAG])
{
	br_poly1305_ctmulq_run(text->key, text->nonce, text->data, text->bytes, text->clear,
			       text->clear_bytes, tag, br_chacha20_ct_run, seal);
}

const struct cipher cipher_chacha = {
	.name = "ChaCha20-Poly1305",
	.run = chacha_run,
};
