/* SPDX-License-Identifier: MIT */
/*
 * The configuration: any text. What is accepted keeps the limits that docs/configuration.md names;
 * what is refused is refused by a whole message that names the line. The text up to the first 0
 * byte is cleave.cfg, what follows are the load options.
 */
#include "hv/config/parse.h"
#include "mm/err.h"
#include "tests/fuzz/fuzz.h"

#define UNSET 0x55

static struct hv_config config;

static bool is_name(const char *s)
{
	static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-.+/";
	size_t n = strnlen(s, CONFIG_NAME_MAX);

	return n > 0 && n < CONFIG_NAME_MAX && strspn(s, legal) == n;
}

static bool is_size(uint64_t bytes, uint64_t min, uint64_t multiple)
{
	return bytes >= min && bytes <= 512 * GIB && bytes % multiple == 0;
}

static void check_machine(void)
{
	fuzz_check(config.exit <= EXIT_RESET);
	fuzz_check(config.cpus >= 1 && config.cpus <= 8);
	/* As bytes: any other value is no bool, and reading it would be undefined. */
	fuzz_check(*(const uint8_t *)&config.verbose <= 1);
	fuzz_check(*(const uint8_t *)&config.debugger <= 1);
	fuzz_check(*(const uint8_t *)&config.monitor <= 1);
	fuzz_check(*(const uint8_t *)&config.live <= 1);
}

static void check_run(const struct run_config *run)
{
	fuzz_check(is_name(run->name) && is_name(run->job) && is_name(run->guest));
	fuzz_check(is_size(run->region, 2 * MIB, 2 * MIB));
	fuzz_check(run->backing >= PG_LEVEL_4K && run->backing <= PG_LEVEL_1G);
	fuzz_check(run->backing != PG_LEVEL_1G || run->region % GIB == 0);
	fuzz_check(run->populate == PG_LEVEL_4K || run->populate == PG_LEVEL_2M);
	fuzz_check(!run->backing_asked || run->backing == run->backing_asked);
	fuzz_check(run->arrive == PAGE_SIZE || run->arrive == 64 * KIB || run->arrive == 2 * MIB ||
		   run->arrive == GIB);
	fuzz_check(run->region % run->arrive == 0);
	fuzz_check(run->precopy <= 30 && run->log <= LOG_HARDWARE);
	fuzz_check(run->lose <= 1000000 && run->lose_late <= 1000000);
	fuzz_check(run->lose + run->lose_late <= run->region / PAGE_SIZE);
	fuzz_check(run->rounds >= 1 && run->rounds <= 1000000);
	fuzz_check(run->vcpus >= 1 && run->vcpus <= 4);
	fuzz_check(run->policy <= POLICY_NEVER && run->trigger <= TRIGGER_TIME);
	fuzz_check(run->order <= ORDER_BUBBLE);
	fuzz_check(run->budget >= 1 && run->budget <= 1000000);
	fuzz_check(run->density >= 1 && run->density <= 512);
	fuzz_check(run->after_ms <= 86400000 && run->latency_us <= 10000000);
	fuzz_check(run->window >= 1 && run->window <= 256);
	fuzz_check(run->stream == CONFIG_UNLIMITED || (run->stream >= 1 && run->stream <= 1000000));
	fuzz_check(run->timeout_ms >= 1 && run->timeout_ms <= 86400000);
	fuzz_check(is_size(run->work_start, 4 * MIB, PAGE_SIZE));
	fuzz_check(is_size(run->work, PAGE_SIZE, PAGE_SIZE));
	fuzz_check(is_size(run->stride, PAGE_SIZE, PAGE_SIZE));
	fuzz_check(run->work_start + run->work <= run->region);
	fuzz_check((run->work - PAGE_SIZE) / run->stride + 1 >= run->vcpus);
}

static void check_accepted(void)
{
	fuzz_check(config.nruns >= 1 && config.nruns <= CONFIG_RUNS_MAX);
	for (unsigned int i = 0; i < config.nruns; i++) {
		check_run(&config.run[i]);
		for (unsigned int j = 0; j < i; j++)
			fuzz_check(strcmp(config.run[i].name, config.run[j].name) != 0);
	}
}

/* One line of printable text that was not cut off; it begins with where the mistake is. */
static void check_message(const struct config_error *error, unsigned int lines)
{
	size_t n = strnlen(error->text, CONFIG_TEXT_MAX);
	char where[32] = "[run]: ";

	fuzz_check(n > 20 && n < CONFIG_TEXT_MAX - 1);
	for (size_t i = 0; i < n; i++)
		fuzz_check(error->text[i] >= ' ' && error->text[i] <= '~');
	fuzz_check(error->line <= lines);
	if (error->line)
		snprintf(where, sizeof(where), "line %u: ", error->line);
	else if (!lines)
		strcpy(where, "load options: ");
	fuzz_check(strncmp(error->text, where, strlen(where)) == 0);
}

/* From memory of just this size, so that reading beyond it is noticed. */
static int parse_file(const uint8_t *text, size_t bytes)
{
	struct config_error error;
	char *copy = malloc(bytes ? bytes : 1);
	unsigned int lines = 1;
	int err;

	memcpy(copy, text, bytes);
	for (size_t i = 0; i < bytes; i++)
		lines += copy[i] == '\n';
	config_defaults(&config);
	memset(&error, UNSET, sizeof(error));
	err = config_parse(&config, copy, bytes, &error);
	free(copy);
	check_machine();
	if (!err) {
		check_accepted();
		return 0;
	}
	fuzz_check(err == -EINVAL && config.nruns == 0);
	check_message(&error, lines);
	return err;
}

static void parse_options(const uint8_t *text, size_t bytes)
{
	struct config_error error;
	char *copy = malloc(bytes + 1);
	int err;

	memcpy(copy, text, bytes);
	copy[bytes] = 0;
	memset(&error, UNSET, sizeof(error));
	err = config_override(&config, copy, &error);
	free(copy);
	check_machine();
	if (!err) {
		check_accepted();
		return;
	}
	fuzz_check(err == -EINVAL && error.line == 0);
	check_message(&error, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	size_t file = zero ? (size_t)(zero - data) : size;

	if (!parse_file(data, file) && zero)
		parse_options(zero + 1, size - file - 1);
	return 0;
}
