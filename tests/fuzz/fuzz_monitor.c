/* SPDX-License-Identifier: MIT */
/*
 * A line of the monitor: any bytes. What is accepted keeps the limits that the usage names; what is
 * refused is refused by a whole sentence.
 */
#include "ept/format.h"
#include "hv/monitor/words.h"
#include "mm/err.h"
#include "tests/fuzz/fuzz.h"

#define UNSET 0x55

static void check_range(const struct monitor_call *call)
{
	fuzz_check(call->args >= 2);
	fuzz_check(call->arg[0].number <= 512 * GIB && !(call->arg[0].number % PAGE_SIZE));
	fuzz_check(call->arg[1].number <= 512 * GIB && !(call->arg[1].number % PAGE_SIZE));
	fuzz_check(call->arg[1].number >= PAGE_SIZE);
}

static void check_call(const struct monitor_call *call)
{
	uint64_t first = call->arg[0].number;

	fuzz_check(call->id < MONITOR_WORDS_N && call->args <= MONITOR_ARGS_MAX);
	fuzz_check(call->args >= monitor_words[call->id].least);
	switch (call->id) {
	case MONITOR_EPT_SPLIT:
		fuzz_check(call->args < 3 || call->arg[2].number == PG_LEVEL_4K ||
			   call->arg[2].number == PG_LEVEL_2M);
		check_range(call);
		break;
	case MONITOR_EPT_PROTECT:
		fuzz_check(call->args == 3 && call->arg[2].number & EPT_R);
		fuzz_check(call->arg[2].number <= (EPT_R | EPT_W | EPT_X));
		check_range(call);
		break;
	case MONITOR_EPT_COLLAPSE:
	case MONITOR_EPT_POISON:
	case MONITOR_EPT_DISCARD:
		check_range(call);
		break;
	case MONITOR_POLICY:
		fuzz_check(first <= POLICY_NEVER);
		break;
	case MONITOR_STREAM:
		fuzz_check(first <= 1000000 || first == CONFIG_UNLIMITED ||
			   first == MONITOR_RATE_GO);
		break;
	case MONITOR_SOURCE:
	case MONITOR_JSON:
		fuzz_check(first <= 1);
		break;
	default:
		break;
	}
}

/* One sentence of printable text that was not cut off. */
static void check_message(const struct config_error *error)
{
	size_t n = strnlen(error->text, CONFIG_TEXT_MAX);

	fuzz_check(n > 10 && n < CONFIG_TEXT_MAX - 1);
	for (size_t i = 0; i < n; i++)
		fuzz_check(error->text[i] >= ' ' && error->text[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct monitor_call call;
	struct config_error error;
	char *copy = malloc(size ? size : 1); /* so that reading beyond it is noticed */
	int err;

	memcpy(copy, data, size);
	memset(&error, UNSET, sizeof(error));
	err = monitor_parse(copy, size, &call, &error);
	free(copy);
	if (!err)
		check_call(&call);
	else if (err == -EINVAL)
		check_message(&error);
	else
		fuzz_check(err == -ENOENT);
	return 0;
}
