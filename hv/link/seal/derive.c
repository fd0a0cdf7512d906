/* SPDX-License-Identifier: MIT */
/* Keys from a key: HKDF (RFC 5869) with SHA-256. */
#include <bearssl_kdf.h>

#include "hv/link/seal/cipher.h"

void cipher_derive(const void *key, size_t key_bytes, const void *salt, size_t salt_bytes,
		   const void *purpose, size_t purpose_bytes, void *to, size_t n)
{
	br_hkdf_context hkdf;

	br_hkdf_init(&hkdf, &br_sha256_vtable, salt, salt_bytes);
	br_hkdf_inject(&hkdf, key, key_bytes);
	br_hkdf_flip(&hkdf);
	br_hkdf_produce(&hkdf, purpose, purpose_bytes, to, n);
}
