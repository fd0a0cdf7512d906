/* SPDX-License-Identifier: MIT */
/* The time from the image's entry to the first guest's first instruction, and its parts. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/startup.h"
#include "mm/percpu.h"

unsigned int ncpus = 4;

static char said[8192];

void con_write(const char *text, size_t bytes)
{
	strncat(said, text, bytes);
}

void con_printf(const char *fmt, ...)
{
	size_t n = strlen(said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said + n, sizeof(said) - n, fmt, ap);
	va_end(ap);
}

/* A number of the line of JSON, by its key. */
static uint64_t number(const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(said, quoted);
	assert_non_null(at);
	return strtoull(at + strlen(quoted), NULL, 10);
}

static void pass(uint64_t cycles)
{
	uint64_t until = clock_now() + cycles;

	while (clock_now() < until)
		;
}

/* There is one start in a program's life, so one test. */
static void test_the_parts_add_up_to_the_way_from_entry_to_guest(void **state)
{
	uint64_t begun = clock_now(), sum = 0, entered;

	(void)state;
	clock_khz = 1000;
	startup_begin(begun);
	pass(5000);
	startup_mark(STARTUP_FILES);
	startup_report(true);
	assert_string_equal(said, ""); /* no guest has run */
	pass(3000);
	startup_mark(STARTUP_VM);
	pass(1000);
	startup_mark(STARTUP_GUEST);
	pass(2000);
	startup_mark(STARTUP_VM); /* a second VM: added to the first */
	pass(500);
	entered = clock_now();
	startup_entered(entered);
	startup_entered(entered + 1000000); /* only the first entry counts, */
	startup_mark(STARTUP_GUEST);        /* and no part behind it */
	startup_report(true);

	assert_int_equal(number("total_cycles"), entered - begun);
	assert_int_equal(number("cpus"), 4);
	assert_int_equal(number("tsc_khz"), 1000);
	assert_true(number("files") >= 5000);
	assert_true(number("vm") >= 5000);
	assert_true(number("guest") >= 1000);
	assert_true(number("entry") >= 500);
	assert_int_equal(number("tsc"), 0);
#define X(NAME, name) sum += number(#name);
	STARTUP_PARTS(X)
#undef X
	assert_int_equal(sum, number("total_cycles"));
	assert_non_null(strstr(said, "cleave: the guest's first instruction "));
	said[0] = 0;
	startup_report(true);
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_parts_add_up_to_the_way_from_entry_to_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
