/* SPDX-License-Identifier: MIT */
/* Formatted printing: each conversion against the C library's, and what happens at the end of
 * the buffer. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "hv/base/console.h"

#define ROOM 128

/* Both ways into buffers of every length up to ROOM; nothing behind the length is touched. */
#define SAME(...)                                                                                  \
	do {                                                                                       \
		for (size_t size = 0; size <= ROOM; size++) {                                      \
			char ours[ROOM + 1], theirs[ROOM + 1];                                     \
			int n, m;                                                                  \
                                                                                                   \
			memset(ours, 0x55, sizeof(ours));                                          \
			memset(theirs, 0x55, sizeof(theirs));                                      \
			n = fmt_print(ours, size, __VA_ARGS__);                                    \
			m = snprintf(theirs, size, __VA_ARGS__);                                   \
			assert_int_equal(n, m);                                                    \
			assert_memory_equal(ours, theirs, sizeof(ours));                           \
		}                                                                                  \
	} while (0)

static void numbers_print_as_the_c_library_prints_them(void **state)
{
	(void)state;
	SAME("%d %d %d %d", 0, 7, -7, 2147483647);
	SAME("%d", -2147483647 - 1);
	SAME("%u %u", 0u, 4294967295u);
	SAME("%x %x", 0u, 0xdeadbeefu);
	SAME("%ld %lu", LONG_MIN, ULONG_MAX);
	SAME("%lx", ULONG_MAX);
	SAME("%lld %llu %llx", -1ll, 1ull, 0x123456789abcdefull);
	SAME("%zu", SIZE_MAX);
	SAME("%p", (void *)0x1234abcd);
}

static void fields_are_padded_as_the_c_library_pads_them(void **state)
{
	(void)state;
	SAME("[%5d][%-5d][%05d]", 42, 42, 42);
	SAME("[%5d][%-5d][%05d]", -42, -42, -42);
	SAME("[%016lx][%3x][%-3x]", 0xfeul, 0xabcdu, 0xau);
	SAME("[%8s][%-8s][%2s]", "text", "text", "text");
	SAME("[%3c][%-3c]", 'a', 'b');
	SAME("[%*d][%-*s]", 6, 1, 6, "x");
	SAME("[%20p]", (void *)0xff);
	/* A compiler warns of both flags at once in a format that it can read. */
	for (const char *volatile both = "[%-05d]"; both; both = NULL)
		SAME(both, 42);
}

static void strings_end_where_the_precision_says(void **state)
{
	static const char no_end[3] = { 'a', 'b', 'c' };

	(void)state;
	SAME("[%.*s][%.2s][%.9s]", 3, no_end, "abcdef", "abc");
	SAME("[%6.2s][%-6.2s][%.0s]", "abcdef", "abcdef", "abcdef");
	SAME("%c%%%s", 'x', "");
}

static void a_null_string_is_named(void **state)
{
	char text[16];
	const char *volatile null = NULL;

	(void)state;
	assert_int_equal(fmt_print(text, sizeof(text), "%s", null), 6);
	assert_string_equal(text, "(null)");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_print_as_the_c_library_prints_them),
		cmocka_unit_test(fields_are_padded_as_the_c_library_pads_them),
		cmocka_unit_test(strings_end_where_the_precision_says),
		cmocka_unit_test(a_null_string_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
