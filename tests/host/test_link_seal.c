/* SPDX-License-Identifier: MIT */
/* The link's ciphers against published vectors, and a session's channel (hv/link/channel.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/link/channel.h"
#include "hv/link/seal/cipher.h"

static size_t hex(const char *text, uint8_t *to)
{
	size_t n = 0;
	unsigned int byte;

	for (; sscanf(text, " %2x", &byte) == 1; text += 2 + (text[2] == ' '))
		to[n++] = (uint8_t)byte;
	return n;
}

static void assert_hex(const void *is, const char *should)
{
	uint8_t bytes[256];
	size_t n = hex(should, bytes);

	assert_memory_equal(is, bytes, n);
}

/* RFC 8439, section 2.8.2. */
static void chacha_is_rfc_8439(void **state)
{
	uint8_t key[32], nonce[12], clear[16], tag[LINK_TAG];
	char data[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
		      "for the future, sunscreen would be it.";
	struct cipher_text text = {
		.key = key,
		.nonce = nonce,
		.clear = clear,
		.data = data,
		.bytes = 114,
	};

	(void)state;
	hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key);
	hex("070000004041424344454647", nonce);
	text.clear_bytes = hex("50515253c0c1c2c3c4c5c6c7", clear);
	cipher_chacha.run(&text, true, tag);
	assert_hex(data, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6");
	assert_hex(tag, "1ae10b594f09e26a7e902ecbd0600691");
	cipher_chacha.run(&text, false, tag);
	assert_memory_equal(data, "Ladies and Gentlemen", 20);
	assert_hex(tag, "1ae10b594f09e26a7e902ecbd0600691");
}

/* McGrew and Viega's test case 4. */
static void aes_is_the_gcm_papers(void **state)
{
	uint8_t key[32], nonce[12], clear[32], data[64], tag[LINK_TAG];
	struct cipher_text text = { .key = key, .nonce = nonce, .clear = clear, .data = data };

	(void)state;
	if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul"))
		skip();
	hex("feffe9928665731c6d6a8f9467308308", key);
	hex("cafebabefacedbaddecaf888", nonce);
	text.clear_bytes = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2", clear);
	text.bytes = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
			 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			 data);
	cipher_aes.run(&text, true, tag);
	assert_hex(data, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e");
	assert_hex(tag, "5bc94fbc3221a5db94fae95ae7121a47");
	cipher_aes.run(&text, false, tag);
	assert_hex(data, "d9313225f88406e5a55909c5aff5269a");
}

/* RFC 5869, test case 1. */
static void keys_are_derived_as_rfc_5869_says(void **state)
{
	uint8_t key[22], salt[13], info[10], made[42];

	(void)state;
	hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", key);
	hex("000102030405060708090a0b0c", salt);
	hex("f0f1f2f3f4f5f6f7f8f9", info);
	cipher_derive(key, sizeof(key), salt, sizeof(salt), info, sizeof(info), made, sizeof(made));
	assert_hex(made, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
			 "34007208d5b887185865");
}

/* --- a session -------------------------------------------------------------------------------- */

static struct channel asker, answerer;
static uint8_t datagram[LINK_DATAGRAM_MAX], body[LINK_DATAGRAM_MAX];

static void begin(unsigned int suite)
{
	static const uint8_t secret[] = "0123456789abcdef",
			     nonces[2][LINK_NONCE] = { { 1 }, { 2 } };
	const struct link_key key = { .bytes = secret, .n = 16 };

	channel_init(&asker, CHANNEL_ASKER, suite, &key, nonces[0], nonces[1]);
	channel_init(&answerer, CHANNEL_ANSWERER, suite, &key, nonces[0], nonces[1]);
}

static size_t say(struct channel *c, unsigned int value)
{
	struct link_body b = link_body(LINK_DONE, value, value);

	memcpy(datagram + sizeof(struct link_head), &b, sizeof(b));
	return channel_seal(c, datagram, sizeof(b));
}

static void what_one_side_seals_the_other_opens(void **state)
{
	(void)state;
	for (unsigned int suite = 0; suite < LINK_SUITES - 1; suite++) {
		size_t n;

		begin(suite);
		n = say(&asker, 42);
		assert_int_equal(n, sizeof(struct link_head) + 8 + LINK_TAG);
		assert_int_equal(channel_open(&answerer, datagram, n, body), 8);
		assert_int_equal(link_body_gfn((struct link_body *)body), 42);
		n = say(&answerer, 43);
		assert_int_equal(channel_open(&asker, datagram, n, body), 8);
	}
}

static void one_bit_that_differs_is_noticed(void **state)
{
	(void)state;
	for (unsigned int suite = 0; suite < LINK_SUITES - 1; suite++) {
		size_t n;

		begin(suite);
		n = say(&asker, 1);
		for (unsigned int bit = 0; bit < 8 * n; bit++) {
			datagram[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_true(channel_open(&answerer, datagram, n, body) < 0);
			datagram[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t less = 0; less < n; less++)
			assert_true(channel_open(&answerer, datagram, less, body) < 0);
		assert_int_equal(channel_open(&answerer, datagram, n, body), 8);
	}
}

static void nothing_opens_twice_or_at_its_own_side(void **state)
{
	size_t n;

	(void)state;
	begin(LINK_SUITE_CHACHA);
	n = say(&asker, 1);
	assert_int_equal(channel_open(&asker, datagram, n, body), -CHANNEL_SEAL);
	assert_int_equal(channel_open(&answerer, datagram, n, body), 8);
	assert_int_equal(channel_open(&answerer, datagram, n, body), -CHANNEL_REPLAY);
}

/* In any order within the window, each once; what is older is refused. */
static void the_window_takes_each_once(void **state)
{
	static uint8_t said[2 * CHANNEL_WINDOW][64];
	size_t n = 0;

	(void)state;
	begin(LINK_SUITE_NONE);
	for (unsigned int i = 0; i < 2 * CHANNEL_WINDOW; i++) {
		n = say(&asker, i);
		memcpy(said[i], datagram, n);
	}
	for (unsigned int i = CHANNEL_WINDOW; i-- > 1;) /* backwards */
		assert_int_equal(channel_open(&answerer, said[i], n, body), 8);
	for (unsigned int i = 1; i < CHANNEL_WINDOW; i++)
		assert_int_equal(channel_open(&answerer, said[i], n, body), -CHANNEL_REPLAY);
	assert_int_equal(channel_open(&answerer, said[0], n, body), 8);
	assert_int_equal(channel_open(&answerer, said[2 * CHANNEL_WINDOW - 1], n, body), 8);
	assert_int_equal(channel_open(&answerer, said[CHANNEL_WINDOW - 1], n, body),
			 -CHANNEL_REPLAY);
	for (unsigned int i = CHANNEL_WINDOW; i < 2 * CHANNEL_WINDOW - 1; i++)
		assert_int_equal(channel_open(&answerer, said[i], n, body), 8);
}

static void keys_differ_with_the_key_and_with_either_nonce(void **state)
{
	static const uint8_t secrets[2][16] = { { 1 }, { 2 } };
	static const uint8_t nonces[2][LINK_NONCE] = { { 3 }, { 4 } };
	struct channel c[8];

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		const struct link_key key = { .bytes = secrets[i & 1], .n = 16 };

		channel_init(&c[i], CHANNEL_ASKER, LINK_SUITE_CHACHA, &key, nonces[i >> 1 & 1],
			     nonces[i >> 2]);
		assert_memory_not_equal(c[i].in.key, c[i].out.key, CHANNEL_KEY);
		for (unsigned int j = 0; j < i; j++) {
			assert_int_not_equal(c[i].session, c[j].session);
			assert_memory_not_equal(c[i].out.key, c[j].out.key, CHANNEL_KEY);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chacha_is_rfc_8439),
		cmocka_unit_test(aes_is_the_gcm_papers),
		cmocka_unit_test(keys_are_derived_as_rfc_5869_says),
		cmocka_unit_test(what_one_side_seals_the_other_opens),
		cmocka_unit_test(one_bit_that_differs_is_noticed),
		cmocka_unit_test(nothing_opens_twice_or_at_its_own_side),
		cmocka_unit_test(the_window_takes_each_once),
		cmocka_unit_test(keys_differ_with_the_key_and_with_either_nonce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
