/* SPDX-License-Identifier: MIT */
/* I/O breakpoints of a guest, against an access that is looked at byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hv/cpu/debug.h"

static const unsigned int lengths[] = { 1, 2, 8, 4 }; /* by the code in DR7 */

static bool byte_is_watched(uint64_t at, unsigned int length, unsigned int byte)
{
	return byte / length == at / length;
}

static void an_access_meets_what_watches_one_of_its_bytes(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		for (unsigned int code = 0; code < 4; code++)
			for (uint64_t at = 0x60; at < 0x70; at++)
				for (unsigned int port = 0x58; port < 0x78; port++) {
					uint64_t dr[4] = { 0 };
					uint64_t dr7 = UINT64_C(1) << (2 * i) |
						       (UINT64_C(2) | code << 2) << (16 + 4 * i);

					dr[i] = at;
					for (unsigned int size = 1; size <= 4; size *= 2) {
						bool any = false;

						for (unsigned int b = 0; b < size; b++)
							any |= byte_is_watched(at, lengths[code],
									       port + b);
						assert_int_equal(debug_io_match(dr, dr7,
										(uint16_t)port,
										size),
								 (uint64_t)any << i);
					}
				}
}

static void only_what_is_enabled_and_watches_ports_is_met(void **state)
{
	const uint64_t dr[4] = { 0x80, 0x80, 0x80, 0x80 };

	(void)state;
	assert_int_equal(debug_io_match(dr, 0x22220000, 0x80, 1), 0);
	assert_int_equal(debug_io_match(dr, 0x222200ff, 0x80, 1), 15);
	assert_int_equal(debug_io_match(dr, 0x22220024, 0x80, 1), 6); /* 1 locally, 2 globally */
	assert_int_equal(debug_io_match(dr, 0x322100ff, 0x80, 1), 6); /* 0 writes, 3 reads too */
	assert_int_equal(debug_io_match(dr, 0x222200ff, 0x81, 4), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_meets_what_watches_one_of_its_bytes),
		cmocka_unit_test(only_what_is_enabled_and_watches_ports_is_met),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
