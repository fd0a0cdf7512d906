/* SPDX-License-Identifier: MIT */
/* The monitor's parser (hv/monitor/words.h): what it takes, and how it refuses the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ept/format.h"
#include "hv/monitor/words.h"
#include "mm/err.h"

static struct monitor_call call;
static struct config_error error;

/* From memory of exactly this size, so that reading beyond it is noticed. */
static int parse(const char *line)
{
	size_t n = strlen(line);
	char *copy = malloc(n ? n : 1);
	int err;

	memcpy(copy, line, n);
	memset(&error, 0x55, sizeof(error));
	err = monitor_parse(copy, n, &call, &error);
	free(copy);
	return err;
}

static void takes(const char *line, enum monitor_word_id id, unsigned int args)
{
	if (parse(line))
		fail_msg("refused: %s", error.text);
	assert_int_equal(call.id, id);
	assert_int_equal(call.args, args);
}

static void refuses(const char *line, const char *message)
{
	assert_int_equal(parse(line), -EINVAL);
	assert_string_equal(error.text, message);
}

static void every_command_is_taken_by_its_name(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < MONITOR_WORDS_N; i++) {
		assert_true(monitor_words[i].about && monitor_words[i].name);
		if (!monitor_words[i].least)
			takes(monitor_words[i].name, (enum monitor_word_id)i, 0);
		else
			assert_int_equal(parse(monitor_words[i].name), -EINVAL);
	}
}

static void blanks_around_words_are_fine_and_a_blank_line_is_none(void **state)
{
	(void)state;
	takes("  info \t vm  ", MONITOR_INFO_VM, 0);
	assert_int_equal(parse(""), -ENOENT);
	assert_int_equal(parse(" \t "), -ENOENT);
}

static void ranges_are_sizes_in_pages(void **state)
{
	(void)state;
	takes("ept split 0 1G", MONITOR_EPT_SPLIT, 2);
	assert_int_equal(call.arg[0].number, 0);
	assert_int_equal(call.arg[1].number, GIB);
	takes("ept split 0x3000 8K 2M", MONITOR_EPT_SPLIT, 3);
	assert_int_equal(call.arg[0].number, 0x3000);
	assert_int_equal(call.arg[2].number, PG_LEVEL_2M);
	refuses("ept split 3 1G", "GPA=3: must be 0 to 512G, a multiple of 4K; "
				  "usage: ept split GPA BYTES [4K|2M]");
	refuses("ept poison 0 0", "BYTES=0: must be 4K to 512G, a multiple of 4K; "
				  "usage: ept poison GPA BYTES");
	refuses("ept discard 0 -1", "BYTES=-1: must be 4K to 512G, a multiple of 4K; "
				    "usage: ept discard GPA BYTES");
	refuses("ept poison 0x10000000000000000 4K",
		"GPA=0x10000000000000000: must be 0 to 512G, a multiple of 4K; "
		"usage: ept poison GPA BYTES");
}

#define POLICY_WORDS "complete|end|budget|hot|idle|density|never"

static void names_are_those_of_the_configuration(void **state)
{
	(void)state;
	takes("policy budget", MONITOR_POLICY, 1);
	assert_int_equal(call.arg[0].number, POLICY_BUDGET);
	refuses("policy late", POLICY_WORDS
		"=late: must be one of complete, end, budget, hot, idle, density, never; "
		"usage: policy " POLICY_WORDS);
	takes("ept protect 0 4K rx", MONITOR_EPT_PROTECT, 3);
	assert_int_equal(call.arg[2].number, EPT_R | EPT_X);
	refuses("ept protect 0 4K w", "r|rw|rx|rwx=w: must be one of r, rw, rx, rwx; "
				      "usage: ept protect GPA BYTES r|rw|rx|rwx");
	takes("source cut", MONITOR_SOURCE, 1);
	assert_int_equal(call.arg[0].number, 1);
	takes("source restore", MONITOR_SOURCE, 1);
	assert_int_equal(call.arg[0].number, 0);
	takes("json on", MONITOR_JSON, 1);
	assert_int_equal(call.arg[0].number, 1);
}

static void the_stream_has_a_rate_or_a_word(void **state)
{
	(void)state;
	takes("stream 7", MONITOR_STREAM, 1);
	assert_int_equal(call.arg[0].number, 7);
	takes("stream pause", MONITOR_STREAM, 1);
	assert_int_equal(call.arg[0].number, MONITOR_RATE_PAUSE);
	takes("stream go", MONITOR_STREAM, 1);
	assert_int_equal(call.arg[0].number, MONITOR_RATE_GO);
	takes("stream unlimited", MONITOR_STREAM, 1);
	assert_int_equal(call.arg[0].number, CONFIG_UNLIMITED);
	refuses("stream 0", "RATE|pause|go=0: must be 1 to 1000000, or unlimited, pause, go; "
			    "usage: stream RATE|pause|go");
}

static void a_wrong_number_of_arguments_gets_the_usage(void **state)
{
	(void)state;
	refuses("ept poison", "GPA is missing; usage: ept poison GPA BYTES");
	refuses("ept poison 0", "BYTES is missing; usage: ept poison GPA BYTES");
	refuses("pause now", "'now' is one argument too many; usage: pause");
	refuses("info ept 0 0", "'0' is one argument too many; usage: info ept [GPA]");
}

static void what_is_no_command_is_named(void **state)
{
	char text[MONITOR_LINE_MAX + 2];

	(void)state;
	refuses("infovm", "unknown command 'infovm'; `help` lists them");
	refuses("info", "unknown command 'info'; `help` lists them");
	refuses("INFO VM", "unknown command 'INFO VM'; `help` lists them");
	refuses("inf\x01", "unknown command 'inf?'; `help` lists them");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_int_equal(parse(text), -EINVAL);
	assert_non_null(strstr(error.text, "is too long; a line has at most 200 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_taken_by_its_name),
		cmocka_unit_test(blanks_around_words_are_fine_and_a_blank_line_is_none),
		cmocka_unit_test(ranges_are_sizes_in_pages),
		cmocka_unit_test(names_are_those_of_the_configuration),
		cmocka_unit_test(the_stream_has_a_rate_or_a_word),
		cmocka_unit_test(a_wrong_number_of_arguments_gets_the_usage),
		cmocka_unit_test(what_is_no_command_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
