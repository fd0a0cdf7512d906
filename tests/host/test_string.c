/* SPDX-License-Identifier: MIT */
/* The freestanding image's memory and string functions against the C library's, for every short
 * length and offset. They are compiled into this file under names of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define memcpy  our_memcpy
#define memmove our_memmove
#define memset  our_memset
#define memcmp  our_memcmp
#define strlen  our_strlen
#define strcmp  our_strcmp
#include "hv/base/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp

#define ROOM 64

static void fill(char *ours, char *theirs)
{
	for (int i = 0; i < ROOM; i++)
		ours[i] = theirs[i] = (char)(i * 7 + 1);
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void memmove_moves_overlapping_bytes(void **state)
{
	char ours[ROOM], theirs[ROOM];

	(void)state;
	for (size_t n = 0; n <= ROOM / 2; n++)
		for (size_t to = 0; to <= ROOM / 2; to++)
			for (size_t from = 0; from <= ROOM / 2; from++) {
				fill(ours, theirs);
				assert_ptr_equal(our_memmove(ours + to, ours + from, n), ours + to);
				memmove(theirs + to, theirs + from, n);
				assert_memory_equal(ours, theirs, ROOM);
			}
}

static void memcpy_and_memset_touch_just_their_bytes(void **state)
{
	char ours[ROOM], theirs[ROOM], source[ROOM];

	(void)state;
	for (size_t n = 0; n <= ROOM / 2; n++)
		for (size_t to = 0; to <= ROOM / 2; to++) {
			fill(ours, theirs);
			memset(source, 0xa5, ROOM);
			assert_ptr_equal(our_memcpy(ours + to, source, n), ours + to);
			memcpy(theirs + to, source, n);
			assert_memory_equal(ours, theirs, ROOM);
			fill(ours, theirs);
			assert_ptr_equal(our_memset(ours + to, 0x1ff, n), ours + to);
			memset(theirs + to, 0xff, n);
			assert_memory_equal(ours, theirs, ROOM);
		}
}

static void comparing_sees_the_first_difference_as_unsigned_bytes(void **state)
{
	static const char *const text[] = { "", "a", "ab", "abc", "abd", "b", "\x80", "a\xff" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		assert_int_equal(our_strlen(text[i]), strlen(text[i]));
		for (size_t j = 0; j < ARRAY_LEN(text); j++) {
			size_t n = MIN(strlen(text[i]), strlen(text[j])) + 1;

			assert_int_equal(sign(our_strcmp(text[i], text[j])),
					 sign(strcmp(text[i], text[j])));
			assert_int_equal(sign(our_memcmp(text[i], text[j], n)),
					 sign(memcmp(text[i], text[j], n)));
			assert_int_equal(our_memcmp(text[i], text[j], 0), 0);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(memmove_moves_overlapping_bytes),
		cmocka_unit_test(memcpy_and_memset_touch_just_their_bytes),
		cmocka_unit_test(comparing_sees_the_first_difference_as_unsigned_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
