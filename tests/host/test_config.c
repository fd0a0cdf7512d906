/* SPDX-License-Identifier: MIT */
/* The configuration: what is taken, and that all else is refused with its line, its key and the
 * remedy. */
#include "tests/host/config_case.h"

static void an_empty_file_gives_the_documented_defaults(void **state)
{
	const struct run_config *run = &config.run[0];

	(void)state;
	takes("");
	assert_int_equal(config.exit, EXIT_HALT);
	assert_true(config.verbose);
	assert_int_equal(config.cpus, MAX_CPUS);
	assert_false(config.debugger);
	assert_false(config.monitor);
	assert_false(config.live);
	assert_int_equal(config.tsc_khz, 0);
	assert_int_equal(config.nruns, 1);
	assert_string_equal(run->name, "run");
	assert_string_equal(run->job, "migrate");
	assert_string_equal(run->guest, "seq");
	assert_int_equal(run->region, GIB);
	assert_int_equal(run->backing, PG_LEVEL_1G);
	assert_int_equal(run->populate, PG_LEVEL_2M);
	assert_int_equal(run->arrive, PAGE_SIZE);
	assert_int_equal(run->vcpus, 1);
	assert_int_equal(run->policy, POLICY_COMPLETE);
	assert_int_equal(run->budget, 4);
	assert_int_equal(run->density, 256);
	assert_int_equal(run->nx, NX_AUTO);
	assert_int_equal(run->trigger, TRIGGER_READY);
	assert_int_equal(run->after_ms, 100);
	assert_int_equal(run->precopy, 0);
	assert_int_equal(run->log, LOG_AUTO);
	assert_int_equal(run->order, ORDER_BUBBLE);
	assert_int_equal(run->latency_us, 20);
	assert_int_equal(run->window, 64);
	assert_int_equal(run->stream, CONFIG_UNLIMITED);
	assert_int_equal(run->lose, 0);
	assert_int_equal(run->lose_late, 0);
	assert_int_equal(run->rounds, 4);
	assert_int_equal(run->work_start, 8 * MIB);
	assert_int_equal(run->work, 64 * MIB);
	assert_int_equal(run->stride, PAGE_SIZE);
	assert_int_equal(run->seed, 1);
	assert_int_equal(run->timeout_ms, 600000);
}

static void every_key_reaches_its_field(void **state)
{
	const struct run_config *run = &config.run[0];

	(void)state;
	takes("exit=qemu\nverbose=0\ncpus=3\ndebugger=1\nmonitor=1\nlive=1\ntsc_khz=1000000\njob=collapse-test\nguest=pair\n"
	      "region=12M\nbacking=2M\npopulate=4K\nvcpus=2\ncollapse=budget\nbudget=7\ndensity=12\ntrigger=time\n"
	      "after=250\norder=random\nlatency=0\nwindow=256\nstream=1\nstart=4M\nwork=2M\n"
	      "stride=8K\nseed=0xffffffffffffffff\ntimeout=1\narrive=64K\nnx=off\nprecopy=30\n"
	      "log=hardware\nlose=1000\nlose_late=536\nrounds=1000000\n");
	assert_int_equal(config.exit, EXIT_QEMU);
	assert_false(config.verbose);
	assert_int_equal(config.cpus, 3);
	assert_true(config.debugger);
	assert_true(config.monitor);
	assert_true(config.live);
	assert_int_equal(config.tsc_khz, 1000000);
	assert_int_equal(config.nruns, 1);
	assert_string_equal(run->job, "collapse-test");
	assert_string_equal(run->guest, "pair");
	assert_int_equal(run->region, 12 * MIB);
	assert_int_equal(run->backing, PG_LEVEL_2M);
	assert_int_equal(run->populate, PG_LEVEL_4K);
	assert_int_equal(run->vcpus, 2);
	assert_int_equal(run->policy, POLICY_BUDGET);
	assert_int_equal(run->budget, 7);
	assert_int_equal(run->density, 12);
	assert_int_equal(run->trigger, TRIGGER_TIME);
	assert_int_equal(run->after_ms, 250);
	assert_int_equal(run->order, ORDER_RANDOM);
	assert_int_equal(run->latency_us, 0);
	assert_int_equal(run->window, 256);
	assert_int_equal(run->stream, 1);
	assert_int_equal(run->work_start, 4 * MIB);
	assert_int_equal(run->work, 2 * MIB);
	assert_int_equal(run->stride, 8 * KIB);
	assert_int_equal(run->seed, UINT64_MAX);
	assert_int_equal(run->timeout_ms, 1);
	assert_int_equal(run->arrive, 64 * KIB);
	assert_int_equal(run->nx, NX_OFF);
	assert_int_equal(run->precopy, 30);
	assert_int_equal(run->log, LOG_HARDWARE);
	assert_int_equal(run->lose, 1000);
	assert_int_equal(run->lose_late, 536);
	assert_int_equal(run->rounds, 1000000);
}

static void comments_blanks_and_line_ends_of_any_kind_are_fine(void **state)
{
	(void)state;
	takes("\xef\xbb\xbf# a comment with \xc3\xa4 letter\r\n\r\n \t \n"
	      "  seed = 5 \t# five\r\n\twindow=\t9\n#seed=6\ncpus=2");
	assert_int_equal(config.run[0].seed, 5);
	assert_int_equal(config.run[0].window, 9);
	assert_int_equal(config.cpus, 2);
}

static void a_byte_order_mark_is_skipped_wherever_a_line_begins(void **state)
{
	(void)state;
	takes("\xef\xbb\xbfseed=7\n");
	assert_int_equal(config.run[0].seed, 7);
	/* Something was put before the user's text. */
	takes("exit=qemu\n\xef\xbb\xbfseed=8\n");
	assert_int_equal(config.run[0].seed, 8);
	takes("exit=qemu\n\xef\xbb\xbf[a]\nseed=9\n");
	assert_string_equal(config.run[0].name, "a");
	takes("\xef\xbb\xbf");
	refuses("seed=1\nseed\xef\xbb\xbf=1\n", 2,
		"line 2: unknown key 'seed?"
		"?"
		"?'; " KNOWN);
	refuses("\xef\xbb\xbf\xef\xbb\xbfseed=1\n", 1, "line 1: unknown key '???seed'; " KNOWN);
}

static void sizes_take_suffixes_and_hexadecimal(void **state)
{
	(void)state;
	takes("start=4096K\nwork=0x2000\nregion=2147483648\nstride=0x8K\n"
	      "[b]\nregion=3G\nstart=4M\n");
	assert_int_equal(config.run[0].work_start, 4 * MIB);
	assert_int_equal(config.run[0].work, 8192);
	assert_int_equal(config.run[0].region, 3 * GIB);
	assert_int_equal(config.run[0].stride, 8192);
}

static void addresses_have_four_numbers(void **state)
{
	static const char *const bad[] = { "",          "1",        "1.2.3",
					   "1.2.3.4.5", "1.2.3.",   "1.2.3.4.",
					   "256.1.1.1", "1.2.3.-1", "a.b.c.d" };
	char text[64], message[128];

	(void)state;
	takes("address=10.99.0.1\npeer=255.0.1.254\n");
	assert_int_equal(config.address, 0x0a630001);
	assert_int_equal(config.peer, 0xff0001fe);
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "peer=%s\n", bad[i]);
		snprintf(message, sizeof(message),
			 "line 1: peer=%s: must be four numbers of 0 to 255 with dots between",
			 bad[i]);
		refuses(text, 1, message);
	}
}

static void runs_start_from_what_was_said_before_them(void **state)
{
	(void)state;
	takes("seed=5\nexit=bochs\n[one]\nwindow=3\n[two]\nseed=6\n[three]\n");
	assert_int_equal(config.nruns, 3);
	assert_string_equal(config.run[0].name, "one");
	assert_int_equal(config.run[0].seed, 5);
	assert_int_equal(config.run[0].window, 3);
	assert_string_equal(config.run[1].name, "two");
	assert_int_equal(config.run[1].seed, 6);
	assert_int_equal(config.run[1].window, 64);
	assert_string_equal(config.run[2].name, "three");
	assert_int_equal(config.run[2].seed, 5);
	assert_string_equal(config.run[2].guest, "seq");
}

static void an_unknown_key_is_named_with_the_known_ones(void **state)
{
	(void)state;
	refuses("seed=1\n\nbakcing=2M\n", 3, "line 3: unknown key 'bakcing'; " KNOWN);
	refuses("=1\n", 1, "line 1: unknown key ''; " KNOWN);
	refuses("Seed=1\n", 1, "line 1: unknown key 'Seed'; " KNOWN);
	refuses("see=1", 1, "line 1: unknown key 'see'; " KNOWN);
	refuses("seeds=1", 1, "line 1: unknown key 'seeds'; " KNOWN);
}

static void a_line_that_is_nothing_is_refused(void **state)
{
	(void)state;
	refuses("seed\n", 1, "line 1: 'seed' is neither key=value nor [name]");
	refuses("\n#\nseed # =1", 3, "line 3: 'seed' is neither key=value nor [name]");
}

static void a_value_of_the_wrong_name_is_answered_with_the_right_ones(void **state)
{
	(void)state;
	refuses("#\n#\n#\nbacking=3M\n", 4, "line 4: backing=3M: must be one of auto, 4K, 2M, 1G");
	refuses("populate=1G\n", 1, "line 1: populate=1G: must be one of 4K, 2M");
	refuses("collapse=2", 1,
		"line 1: collapse=2: must be one of complete, end, budget, "
		"hot, idle, density, never");
	refuses("exit=Qemu", 1, "line 1: exit=Qemu: must be one of halt, bochs, qemu, reset");
	refuses("order=bubbl", 1,
		"line 1: order=bubbl: must be one of linear, reverse, random, bubble, densest, record, replay, none");
	refuses("trigger=ready2", 1, "line 1: trigger=ready2: must be one of ready, guest, time");
}

static void an_empty_value_is_refused(void **state)
{
	(void)state;
	refuses("job=\n", 1, "line 1: job=: must be 1 to 39 letters, digits or any of _-.+/");
	refuses("seed= # 1\n", 1, "line 1: seed=: must be 0 to 18446744073709551615");
	refuses("backing=\n", 1, "line 1: backing=: must be one of auto, 4K, 2M, 1G");
	refuses("work=\n", 1, "line 1: work=: must be 4K to 512G, a multiple of 4K, or auto");
	refuses("work=K\n", 1, "line 1: work=K: must be 4K to 512G, a multiple of 4K, or auto");
}

static void a_number_out_of_range_is_answered_with_the_range(void **state)
{
	(void)state;
	refuses("vcpus=0", 1, "line 1: vcpus=0: must be 1 to 4");
	refuses("vcpus=5", 1, "line 1: vcpus=5: must be 1 to 4");
	refuses("cpus=9", 1, "line 1: cpus=9: must be 1 to 8, or all");
	refuses("window=257", 1, "line 1: window=257: must be 1 to 256");
	refuses("verbose=2", 1, "line 1: verbose=2: must be 0 to 1");
	refuses("stream=4294967295", 1,
		"line 1: stream=4294967295: must be 1 to 1000000, or unlimited");
	refuses("seed=18446744073709551616", 1,
		"line 1: seed=18446744073709551616: must be 0 to 18446744073709551615");
	refuses("vcpus=4294967297", 1, "line 1: vcpus=4294967297: must be 1 to 4");
	refuses("start=2M", 1, "line 1: start=2M: must be 4M to 512G, a multiple of 4K");
	refuses("region=3M", 1, "line 1: region=3M: must be 2M to 512G, a multiple of 2M");
	refuses("stride=5000", 1, "line 1: stride=5000: must be 4K to 512G, a multiple of 4K");
	refuses("region=17179869185G", 1,
		"line 1: region=17179869185G: must be 2M to 512G, a multiple of 2M");
	takes("stream=unlimited");
	assert_int_equal(config.run[0].stream, CONFIG_UNLIMITED);
	takes("stream=1000000");
	assert_int_equal(config.run[0].stream, 1000000);
}

static void what_is_not_a_number_is_refused(void **state)
{
	static const char *const wrong[] = { "-1", "+1", "1 2", "0x",  "1x", "0xg", "1.5", "ten",
					     "1K", "1M", "0X1", "1e3", "''", "--",  "x",   "1=2" };
	char text[40];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof(text), "window=%s", wrong[i]);
		assert_int_equal(parse(text), -EINVAL);
		assert_int_equal(error.line, 1);
		assert_non_null(strstr(error.text, ": must be 1 to 256"));
	}
}

static void a_name_has_39_bytes_at_most(void **state)
{
	(void)state;
	takes("job=123456789012345678901234567890123456789");
	assert_int_equal(strlen(config.run[0].job), CONFIG_NAME_MAX - 1);
	refuses("job=1234567890123456789012345678901234567890", 1,
		"line 1: job=1234567890123456789012345678901234567890: "
		"must be 1 to 39 letters, digits or any of _-.+/");
	takes("[123456789012345678901234567890123456789]");
	assert_int_equal(strlen(config.run[0].name), CONFIG_NAME_MAX - 1);
	refuses("[1234567890123456789012345678901234567890]", 1,
		"line 1: [1234567890123456789012345678901234567890]: "
		"a name has 1 to 39 letters, digits or any of _-.+/");
}

static void a_section_that_is_malformed_is_refused(void **state)
{
	(void)state;
	refuses("[]", 1, "line 1: []: a name has 1 to 39 letters, digits or any of _-.+/");
	refuses("[a b]", 1, "line 1: [a b]: a name has 1 to 39 letters, digits or any of _-.+/");
	refuses("[", 1, "line 1: '[' lacks the closing ]");
	refuses("[a", 1, "line 1: '[a' lacks the closing ]");
	refuses("[a] seed=1", 1, "line 1: '[a] seed=1' lacks the closing ]");
	takes(" [ a-1.b+c/d_E ] # fine");
	assert_string_equal(config.run[0].name, "a-1.b+c/d_E");
}

static void a_doubled_run_is_refused(void **state)
{
	(void)state;
	refuses("[a]\n[b]\n[a]\n", 3, "line 3: [a] is here twice; names must differ");
	takes("[a]\n[aa]\n[A]\n");
	assert_int_equal(config.nruns, 3);
}

static void a_doubled_key_is_refused(void **state)
{
	(void)state;
	refuses("seed=1\nseed=1\n", 2, "line 2: seed is set twice; keep one of the lines");
	refuses("[a]\nseed=1\n[b]\nseed=1\nwork=4K\nseed=2", 6,
		"line 6: seed is set twice; keep one of the lines");
	refuses("timeout=1\nexit=halt\ntimeout=1\n", 3,
		"line 3: timeout is set twice; keep one of the lines");
}

static void a_machine_wide_key_inside_a_run_is_refused(void **state)
{
	(void)state;
	refuses("[a]\nexit=halt\n", 2,
		"line 2: exit concerns the whole machine: it belongs before the first [name]");
	refuses("[a]\ncpus=1\n", 2,
		"line 2: cpus concerns the whole machine: it belongs before the first [name]");
	refuses("[a]\nverbose=1\n", 2,
		"line 2: verbose concerns the whole machine: it belongs before the first [name]");
}

static void a_run_too_many_is_refused(void **state)
{
	static char text[CONFIG_RUNS_MAX * 8 + 16];
	size_t n = 0;

	(void)state;
	for (unsigned int i = 0; i < CONFIG_RUNS_MAX; i++)
		n += (size_t)sprintf(text + n, "[r%u]\n", i);
	takes(text);
	assert_int_equal(config.nruns, CONFIG_RUNS_MAX);
	assert_string_equal(config.run[CONFIG_RUNS_MAX - 1].name, "r255");
	sprintf(text + n, "[last]\n");
	refuses(text, CONFIG_RUNS_MAX + 1,
		"line 257: [last] is one too many: at most 256 runs fit");
}

static void a_long_line_is_refused_even_a_comment(void **state)
{
	char text[CONFIG_LINE_MAX + 4];

	(void)state;
	memset(text, '#', sizeof(text));
	assert_int_equal(parse_bytes(text, CONFIG_LINE_MAX), 0);
	text[CONFIG_LINE_MAX] = '\r';
	assert_int_equal(parse_bytes(text, CONFIG_LINE_MAX + 1), 0);
	text[CONFIG_LINE_MAX] = '#';
	assert_int_equal(parse_bytes(text, CONFIG_LINE_MAX + 1), -EINVAL);
	check_error(1, "line 1: '################################################...' is too long; "
		       "a line has at most 200 bytes");
}

static void bytes_that_are_not_text_are_refused(void **state)
{
	static const char nul[] = "seed=1\n# \0\n";
	static const char utf16[] = "\xff\xfes\0e\0e\0d\0";

	(void)state;
	assert_int_equal(parse_bytes(nul, sizeof(nul) - 1), -EINVAL);
	check_error(2, "line 2: '# ?' holds bytes that are not text");
	assert_int_equal(parse_bytes("seed=1\0", 7), -EINVAL);
	check_error(1, "line 1: 'seed=1?' holds bytes that are not text");
	assert_int_equal(parse_bytes(utf16, sizeof(utf16) - 1), -EINVAL);
	check_error(1, "line 1: '??s?e?e?d?' holds bytes that are not text");
	refuses("seed=1\rwork=4K\n", 1, "line 1: 'seed=1?work=4K' holds bytes that are not text");
	refuses("job=b\xc3\xa4r", 1,
		"line 1: job=b??r: must be 1 to 39 letters, digits or any of _-.+/");
}

static void what_backs_a_region_is_as_large_as_fits_unless_it_was_said(void **state)
{
	(void)state;
	takes("region=64M\nwork=32M\n");
	assert_int_equal(config.run[0].backing, PG_LEVEL_2M);
	takes("region=1538M\n[a]\n[b]\nregion=3G\n[c]\nbacking=4K\n[d]\nregion=2G\nbacking=auto\n");
	assert_int_equal(config.run[0].backing, PG_LEVEL_2M);
	assert_int_equal(config.run[1].backing, PG_LEVEL_1G);
	assert_int_equal(config.run[2].backing, PG_LEVEL_4K);
	assert_int_equal(config.run[3].backing, PG_LEVEL_1G);
}

static void the_region_is_whole_gibs_with_1g_backing(void **state)
{
	(void)state;
	refuses("backing=1G\n[a]\n[b]\nregion=1538M\n[c]\n", 3,
		"line 3: [b]: region=1538M: must be a multiple of 1G with backing=1G; "
		"or use backing=2M");
	refuses("region=512M\nbacking=1G\n", 0,
		"[run]: region=512M: must be a multiple of 1G with backing=1G; or use backing=2M");
	takes("region=512M\nbacking=2M\n");
	takes("region=512M\nbacking=4K\n");
	takes("region=2G\nbacking=1G\n");
}

static void the_region_is_whole_gibs_when_they_arrive_whole(void **state)
{
	(void)state;
	refuses("region=128M\narrive=1G\n", 0,
		"[run]: region=128M: must be a multiple of 1G with arrive=1G; or use arrive=2M");
	takes("region=128M\narrive=2M\n");
	takes("region=2G\narrive=1G\n");
}

static void no_more_pages_are_lost_than_there_are(void **state)
{
	(void)state;
	/* 128M but the images' 4M and the payload's 64M. */
	refuses("[a]\nregion=128M\nlose=15360\nlose_late=1\n", 1,
		"line 1: [a]: region=128M has fewer pages that no payload uses than lose=15360 and "
		"lose_late=1 together; lose fewer or make region larger");
	takes("region=128M\nlose=15359\nlose_late=1\n");
	refuses("[a]\nhops=3\norder=none\n", 1,
		"line 1: [a]: hops=3: with order=none and order=record pages stay behind; leave out hops= or "
		"take another order");
	refuses("[a]\norder=record\nlatency=0\n", 1,
		"line 1: [a]: latency=0: order=record notes requests, and with latency=0 there are none");
	refuses("[a]\nhops=3\nlose=1\n", 1,
		"line 1: [a]: hops=3: pages can be lost in a single migration only; leave out hops= or "
		"lose= and lose_late=");
	takes("hops=1000\n");
	refuses("hops=1001\n", 1, "line 1: hops=1001: must be 1 to 1000");
	refuses("lose=1000001", 1, "line 1: lose=1000001: must be 0 to 1000000");
	refuses("precopy=31", 1, "line 1: precopy=31: must be 0 to 30");
	refuses("rounds=0", 1, "line 1: rounds=0: must be 1 to 1000000");
	refuses("arrive=8K", 1, "line 1: arrive=8K: must be one of 4K, 64K, 2M, 1G");
	refuses("log=log", 1, "line 1: log=log: must be one of auto, writes, bits, hardware");
}

static void the_work_area_lies_inside_the_region(void **state)
{
	(void)state;
	takes("region=32M\n"); /* what is not set takes what there is */
	refuses("backing=2M\n[a]\nregion=32M\nwork=64M\n", 2,
		"line 2: [a]: work=64M from start=8M does not fit into region=32M; "
		"make work smaller or region larger");
	refuses("start=1G\nwork=4K\n", 0,
		"[run]: work=4K from start=1G does not fit into region=1G; "
		"make work smaller or region larger");
	refuses("start=1020M\nwork=4100K\n", 0,
		"[run]: work=4100K from start=1020M does not fit into region=1G; "
		"make work smaller or region larger");
	takes("start=1020M\nwork=4M\n");
	/* What precedes the first run need not hold on its own. */
	takes("work=2G\n[a]\nregion=3G\n");
}

static void each_vcpu_has_a_page_to_use(void **state)
{
	(void)state;
	refuses("[a]\nvcpus=3\nwork=8K\n", 1,
		"line 1: [a]: work=8K with stride=4K has fewer pages than vcpus=3; "
		"make work larger or stride smaller");
	refuses("[a]\nvcpus=2\nstride=2M\nwork=2M\n", 1,
		"line 1: [a]: work=2M with stride=2M has fewer pages than vcpus=2; "
		"make work larger or stride smaller");
	takes("vcpus=2\nstride=2M\nwork=2052K\n");
	takes("vcpus=1\nstride=512G\nwork=4K\n");
	takes("vcpus=3\nwork=12K\n");
}

static void after_an_error_the_ending_that_was_chosen_before_holds(void **state)
{
	(void)state;
	assert_int_equal(parse("exit=qemu\nnonsense\n"), -EINVAL);
	assert_int_equal(config.exit, EXIT_QEMU);
	assert_int_equal(parse("nonsense\nexit=qemu\n"), -EINVAL);
	assert_int_equal(config.exit, EXIT_HALT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_documented_defaults),
		cmocka_unit_test(every_key_reaches_its_field),
		cmocka_unit_test(comments_blanks_and_line_ends_of_any_kind_are_fine),
		cmocka_unit_test(a_byte_order_mark_is_skipped_wherever_a_line_begins),
		cmocka_unit_test(sizes_take_suffixes_and_hexadecimal),
		cmocka_unit_test(addresses_have_four_numbers),
		cmocka_unit_test(runs_start_from_what_was_said_before_them),
		cmocka_unit_test(an_unknown_key_is_named_with_the_known_ones),
		cmocka_unit_test(a_line_that_is_nothing_is_refused),
		cmocka_unit_test(a_value_of_the_wrong_name_is_answered_with_the_right_ones),
		cmocka_unit_test(an_empty_value_is_refused),
		cmocka_unit_test(a_number_out_of_range_is_answered_with_the_range),
		cmocka_unit_test(what_is_not_a_number_is_refused),
		cmocka_unit_test(a_name_has_39_bytes_at_most),
		cmocka_unit_test(a_section_that_is_malformed_is_refused),
		cmocka_unit_test(a_doubled_run_is_refused),
		cmocka_unit_test(a_doubled_key_is_refused),
		cmocka_unit_test(a_machine_wide_key_inside_a_run_is_refused),
		cmocka_unit_test(a_run_too_many_is_refused),
		cmocka_unit_test(a_long_line_is_refused_even_a_comment),
		cmocka_unit_test(bytes_that_are_not_text_are_refused),
		cmocka_unit_test(what_backs_a_region_is_as_large_as_fits_unless_it_was_said),
		cmocka_unit_test(the_region_is_whole_gibs_with_1g_backing),
		cmocka_unit_test(the_region_is_whole_gibs_when_they_arrive_whole),
		cmocka_unit_test(no_more_pages_are_lost_than_there_are),
		cmocka_unit_test(the_work_area_lies_inside_the_region),
		cmocka_unit_test(each_vcpu_has_a_page_to_use),
		cmocka_unit_test(after_an_error_the_ending_that_was_chosen_before_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
