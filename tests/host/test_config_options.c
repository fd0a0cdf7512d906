/* SPDX-License-Identifier: MIT */
/* The load options, and texts of every kind. */
#include "tests/host/config_case.h"
#include "tests/host/random.h"

static int override(const char *options)
{
	memset(&error, 0x55, sizeof(error));
	return config_override(&config, options, &error);
}

static void options_win_over_the_file_in_all_runs(void **state)
{
	(void)state;
	takes("seed=5\nexit=bochs\n[one]\nwindow=3\n[two]\nseed=6\n");
	assert_int_equal(override("  seed=9\texit=qemu vcpus=2 "), 0);
	assert_int_equal(config.exit, EXIT_QEMU);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(config.run[i].seed, 9);
		assert_int_equal(config.run[i].vcpus, 2);
	}
	assert_int_equal(config.run[0].window, 3);
	assert_int_equal(config.run[1].window, 64);
}

static void no_options_change_nothing(void **state)
{
	static struct hv_config before;

	(void)state;
	takes("seed=5\n[one]\n[two]\n");
	memcpy(&before, &config, sizeof(before));
	assert_int_equal(override(""), 0);
	assert_int_equal(override("  "), 0);
	assert_memory_equal(&before, &config, sizeof(before));
}

static void options_are_checked_as_the_file_is(void **state)
{
	(void)state;
	takes("");
	assert_int_equal(override("seed=1 bakcing=2M"), -EINVAL);
	check_error(0, "load options: unknown key 'bakcing'; " KNOWN);
	assert_int_equal(override("window=0"), -EINVAL);
	check_error(0, "load options: window=0: must be 1 to 256");
	assert_int_equal(override("seed=1 seed=2"), -EINVAL);
	check_error(0, "load options: seed is set twice; keep one of the lines");
	assert_int_equal(override("seed=1 fast"), -EINVAL);
	check_error(0, "load options: 'fast' is not key=value");
	assert_int_equal(override("[one]"), -EINVAL);
	check_error(0, "load options: '[one]' is not key=value");
	assert_int_equal(override("seed=1\nwork=4K"), -EINVAL);
	check_error(0, "load options: 'seed=1?work=4K' holds bytes that are not text");
}

static void options_that_make_a_run_impossible_are_refused(void **state)
{
	(void)state;
	takes("[small]\nbacking=2M\nregion=128M\n");
	assert_int_equal(override("backing=1G"), -EINVAL);
	check_error(0, "load options: [small]: region=128M: must be a multiple of 1G with "
		       "backing=1G; or use backing=2M");
	takes("[big]\n[small]\nbacking=2M\nregion=128M\n");
	assert_int_equal(override("work=256M"), -EINVAL);
	check_error(0, "load options: [small]: work=256M from start=8M does not fit into "
		       "region=128M; make work smaller or region larger");
}

static void backing_follows_a_region_that_the_options_change(void **state)
{
	(void)state;
	takes("work=4M\n");
	assert_int_equal(config.run[0].backing, PG_LEVEL_1G);
	assert_int_equal(override("region=64M"), 0);
	assert_int_equal(config.run[0].backing, PG_LEVEL_2M);
	takes("work=4M\nbacking=1G\n");
	assert_int_equal(override("region=64M"), -EINVAL);
	check_error(0, "load options: [run]: region=64M: must be a multiple of 1G with "
		       "backing=1G; or use backing=2M");
	/* Without a file. */
	config_defaults(&config);
	assert_int_equal(config.run[0].backing, PG_LEVEL_1G);
	assert_int_equal(override("region=128M exit=qemu debugger=1"), 0);
	assert_int_equal(config.run[0].backing, PG_LEVEL_2M);
	assert_int_equal(config.exit, EXIT_QEMU);
	assert_true(config.debugger);
}

static bool is_sound(const struct run_config *run)
{
	return memchr(run->name, 0, sizeof(run->name)) && memchr(run->job, 0, sizeof(run->job)) &&
	       memchr(run->guest, 0, sizeof(run->guest)) && run->name[0] && run->job[0] &&
	       run->guest[0] && run->region % (2 * MIB) == 0 && run->region >= 2 * MIB &&
	       run->backing >= PG_LEVEL_4K && run->backing <= PG_LEVEL_1G &&
	       run->populate >= PG_LEVEL_4K && run->populate <= PG_LEVEL_2M && run->vcpus >= 1 &&
	       run->vcpus <= 4 && run->policy <= POLICY_NEVER && run->trigger <= TRIGGER_TIME &&
	       run->order <= ORDER_BUBBLE && run->window >= 1 && run->window <= 256 &&
	       run->work_start >= 4 * MIB && run->work_start < run->region &&
	       run->work <= run->region - run->work_start && run->work >= PAGE_SIZE &&
	       run->stride >= PAGE_SIZE && run->stride % PAGE_SIZE == 0 && run->timeout_ms &&
	       run->region % run->arrive == 0 && run->precopy <= 30 && run->rounds >= 1 &&
	       run->lose + run->lose_late <= run->region / PAGE_SIZE;
}

/* Pieces of right and wrong files, put together at random, with some bytes changed. */
static size_t random_text(char *text, uint64_t *seed)
{
	static const char *const piece[] = {
		"exit=",    "verbose=",  "cpus=",      "job=",      "guest=",   "region=",
		"backing=", "populate=", "vcpus=",     "budget=",   "density=", "after=",
		"order=",   "window=",   "stream=",    "start=",    "work=",    "stride=",
		"seed=",    "timeout",   "=",          "#",         "arrive=",  "lose=",
		"rounds=",  "precopy=",  "64K\n",      "1000000\n", "[",        "]",
		"[a]\n",    "[b]\r\n",   "\n",         "\n",        "\n",       "0",
		"1",        "2\n",       "4K\n",       "2M\n",      "1G\n",     "8M\n",
		"16M\n",    "unlimited", "bubble",     "qemu\n",    "0x",       "ff",
		"99999999", " ",         "latency=0\n"
	};
	size_t n = 0, pieces = rnd(seed) % 24;

	for (size_t i = 0; i < pieces; i++) {
		const char *s = piece[rnd(seed) % ARRAY_LEN(piece)];

		memcpy(text + n, s, strlen(s));
		n += strlen(s);
	}
	for (unsigned int i = rnd(seed) % 4; n > 0 && i > 1; i--)
		text[rnd(seed) % n] = (char)rnd(seed);
	return n;
}

static void any_text_gives_sound_runs_or_a_message(void **state)
{
	uint64_t seed = 3;
	unsigned int taken = 0, refused = 0;
	char text[24 * 16];

	(void)state;
	for (unsigned int i = 0; i < 200000; i++) {
		size_t bytes = random_text(text, &seed);

		if (parse_bytes(text, bytes)) {
			assert_int_equal(config.nruns, 0);
			assert_non_null(memchr(error.text, 0, sizeof(error.text)));
			assert_true(strlen(error.text) > 10);
			refused++;
			continue;
		}
		assert_true(config.nruns >= 1 && config.nruns <= CONFIG_RUNS_MAX);
		for (unsigned int r = 0; r < config.nruns; r++)
			assert_true(is_sound(&config.run[r]));
		taken++;
	}
	/* Otherwise the pieces are badly chosen. */
	assert_true(taken > 5000 && refused > 5000);
}

static void a_message_never_outgrows_its_buffer(void **state)
{
	static char text[5000];

	(void)state;
	for (unsigned int n = 1; n < CONFIG_LINE_MAX; n++) {
		memset(text, 'k', n);
		strcpy(text + n, "=1");
		assert_int_equal(parse_bytes(text, n), -EINVAL);
		assert_int_equal(parse(text), -EINVAL);
		assert_true(strlen(error.text) < sizeof(error.text));
		/* Whole: the list of keys ends with the last of them. */
		if (n + 2 <= CONFIG_LINE_MAX)
			assert_non_null(strstr(error.text, "seed, timeout"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_win_over_the_file_in_all_runs),
		cmocka_unit_test(no_options_change_nothing),
		cmocka_unit_test(options_are_checked_as_the_file_is),
		cmocka_unit_test(options_that_make_a_run_impossible_are_refused),
		cmocka_unit_test(backing_follows_a_region_that_the_options_change),
		cmocka_unit_test(any_text_gives_sound_runs_or_a_message),
		cmocka_unit_test(a_message_never_outgrows_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
