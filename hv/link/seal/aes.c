/* SPDX-License-Identifier: MIT */
/* AES-128-GCM by AES-NI and PCLMULQDQ. */
#include <bearssl_aead.h>

#include "hv/link/seal/cipher.h"

#define AES_KEY 16 /* bytes */

static void aes_run(const struct cipher_text *text, bool seal, uint8_t tag[LINK_TAG])
{
	br_aes_x86ni_ctr_keys keys;
	br_gcm_context gcm;

	/* The library's own br_aes_x86ni_ctr_get_vtable() would ask CPUID: link_key.aes has said.
	 */
	br_aes_x86ni_ctr_init(&keys, text->key, AES_KEY);
	br_gcm_init(&gcm, &keys.vtable, br_ghash_pclmul);
	br_gcm_reset(&gcm, text->nonce, CIPHER_NONCE);
	br_gcm_aad_inject(&gcm, text->clear, text->clear_bytes);
	br_gcm_flip(&gcm);
	br_gcm_run(&gcm, seal, text->data, text->bytes);
	br_gcm_get_tag(&gcm, tag);
}

const struct cipher cipher_aes = {
	.name = "AES-128-GCM",
	.run = aes_run,
};
