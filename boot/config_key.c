/* SPDX-License-Identifier: MIT */
/* The keys of the configuration: one row each, which says where the value goes and what is legal.
 * The messages are made from the same rows. */
#include "boot/config_key.h"

#include "hv/abi.h"
#include "mm/err.h"

enum value_type {
	VALUE_NAME = 0,
	VALUE_NUMBER,
	VALUE_SIZE,
	VALUE_TEXT
};

/* A value that has a name. */
struct choice {
	const char *name;
	uint64_t value;
};

struct config_key {
	const char *name;
	size_t offset; /* in struct hv_config, or in struct run_config */
	size_t bytes;
	bool machine;
	enum value_type type;
	uint64_t min, max, multiple;  /* of a number; multiple 0: any */
	const struct choice *choices; /* of a name, or besides the numbers */
	size_t nchoices;
};

static const struct choice exits[] = {
	{ "halt", EXIT_HALT },
	{ "bochs", EXIT_BOCHS },
	{ "qemu", EXIT_QEMU },
	{ "reset", EXIT_RESET },
};

static const struct choice backings[] = {
	{ "4K", PG_LEVEL_4K },
	{ "2M", PG_LEVEL_2M },
	{ "1G", PG_LEVEL_1G },
};

static const struct choice pieces[] = {
	{ "4K", PG_LEVEL_4K },
	{ "2M", PG_LEVEL_2M },
};

static const struct choice policies[] = {
	{ "complete", POLICY_COMPLETE },
	{ "end", POLICY_END },
	{ "budget", POLICY_BUDGET },
	{ "never", POLICY_NEVER },
};

static const struct choice triggers[] = {
	{ "ready", TRIGGER_READY },
	{ "guest", TRIGGER_GUEST },
	{ "time", TRIGGER_TIME },
};

static const struct choice nx_rules[] = {
	{ "auto", NX_AUTO },
	{ "on", NX_ON },
	{ "off", NX_OFF },
};

static const struct choice orders[] = {
	{ "linear", ORDER_LINEAR },
	{ "reverse", ORDER_REVERSE },
	{ "random", ORDER_RANDOM },
	{ "bubble", ORDER_BUBBLE },
};

static const struct choice rates[] = {
	{ "unlimited", CONFIG_UNLIMITED },
};

#define FIELD(type, member) .offset = offsetof(type, member), .bytes = sizeof(((type *)0)->member)
#define MACHINE(member)     FIELD(struct hv_config, member), .machine = true
#define RUN(member)         FIELD(struct run_config, member)
#define NUMBER(from, to)    .type = VALUE_NUMBER, .min = (from), .max = (to)
#define SIZE(from, step)    .type = VALUE_SIZE, .min = (from), .max = 512 * GIB, .multiple = (step)
#define NAMES(array)        .choices = (array), .nchoices = ARRAY_LEN(array)
#define TEXT                .type = VALUE_TEXT

static const struct config_key keys[] = {
	{ .name = "exit", MACHINE(exit), NAMES(exits) },
	{ .name = "verbose", MACHINE(verbose), NUMBER(0, 1) },
	{ .name = "cpus", MACHINE(cpus), NUMBER(1, MAX_CPUS) },
	{ .name = "debugger", MACHINE(debugger), NUMBER(0, 1) },
	{ .name = "job", RUN(job), TEXT },
	{ .name = "guest", RUN(guest), TEXT },
	{ .name = "region", RUN(region), SIZE(2 * MIB, 2 * MIB) },
	{ .name = "backing", RUN(backing), NAMES(backings) },
	{ .name = "populate", RUN(populate), NAMES(pieces) },
	{ .name = "vcpus", RUN(vcpus), NUMBER(1, ABI_VCPUS_MAX) },
	{ .name = "collapse", RUN(policy), NAMES(policies) },
	{ .name = "budget", RUN(budget), NUMBER(1, 1000000) },
	{ .name = "nx", RUN(nx), NAMES(nx_rules) },
	{ .name = "trigger", RUN(trigger), NAMES(triggers) },
	{ .name = "after", RUN(after_ms), NUMBER(0, 86400000) },
	{ .name = "order", RUN(order), NAMES(orders) },
	{ .name = "latency", RUN(latency_us), NUMBER(0, 10000000) },
	{ .name = "window", RUN(window), NUMBER(1, 256) },
	{ .name = "stream", RUN(stream), NUMBER(1, 1000000), NAMES(rates) },
	{ .name = "start", RUN(work_start), SIZE(4 * MIB, PAGE_SIZE) },
	{ .name = "work", RUN(work), SIZE(PAGE_SIZE, PAGE_SIZE) },
	{ .name = "stride", RUN(stride), SIZE(PAGE_SIZE, PAGE_SIZE) },
	{ .name = "seed", RUN(seed), NUMBER(0, UINT64_MAX) },
	{ .name = "timeout", RUN(timeout_ms), NUMBER(1, 86400000) },
};

_Static_assert(ARRAY_LEN(keys) <= 32, "config_key_bit() has 32 bits");

const struct config_key *config_key_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (span_is(name, keys[i].name))
			return &keys[i];
	}
	return NULL;
}

uint32_t config_key_bit(const struct config_key *key)
{
	return UINT32_C(1) << (key - keys);
}

bool config_key_of_machine(const struct config_key *key)
{
	return key->machine;
}

void config_put_keys(struct config_error *error)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		config_put(error, i ? ", " : "");
		config_put(error, keys[i].name);
	}
}

static void put_choices(struct config_error *error, const struct config_key *key)
{
	for (size_t i = 0; i < key->nchoices; i++) {
		config_put(error, i ? ", " : "");
		config_put(error, key->choices[i].name);
	}
}

static void put_range(struct config_error *error, const struct config_key *key)
{
	void (*put_limit)(struct config_error *, uint64_t) =
		key->type == VALUE_SIZE ? config_put_size : config_put_number;

	put_limit(error, key->min);
	config_put(error, " to ");
	put_limit(error, key->max);
	if (key->multiple) {
		config_put(error, ", a multiple of ");
		put_limit(error, key->multiple);
	}
	config_put(error, key->nchoices ? ", or " : "");
	put_choices(error, key);
}

static int refuse_value(const struct config_key *key, struct span s, struct config_error *error,
			unsigned int line)
{
	int err = config_refuse(error, line);

	config_put(error, key->name);
	config_put(error, "=");
	config_put_span(error, s);
	config_put(error, ": must be ");
	switch (key->type) {
	case VALUE_NAME:
		config_put(error, "one of ");
		put_choices(error, key);
		break;
	case VALUE_TEXT:
		config_put(error, "1 to ");
		config_put_number(error, CONFIG_NAME_MAX - 1);
		config_put(error, " letters, digits or any of _-.+/");
		break;
	case VALUE_NUMBER:
	case VALUE_SIZE:
		put_range(error, key);
		break;
	}
	return err;
}

static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A' + 10);
	return UINT32_MAX;
}

static bool parse_number(struct span s, uint64_t *number)
{
	unsigned int base = 10;

	if (s.n > 2 && s.p[0] == '0' && s.p[1] == 'x') {
		base = 16;
		s.p += 2;
		s.n -= 2;
	}
	*number = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned int d = digit(s.p[i]);

		if (d >= base || *number > (UINT64_MAX - d) / base)
			return false;
		*number = *number * base + d;
	}
	return s.n > 0;
}

static bool parse_size(struct span s, uint64_t *bytes)
{
	static const char suffixes[] = { 'K', 'M', 'G' };
	uint64_t unit = 1;

	for (unsigned int i = 0; s.n > 0 && i < ARRAY_LEN(suffixes); i++) {
		if (s.p[s.n - 1] == suffixes[i])
			unit = UINT64_C(1) << (10 * (i + 1));
	}
	if (unit > 1)
		s.n--;
	if (!parse_number(s, bytes) || *bytes > UINT64_MAX / unit)
		return false;
	*bytes *= unit;
	return true;
}

static bool find_choice(const struct config_key *key, struct span s, uint64_t *value)
{
	for (size_t i = 0; i < key->nchoices; i++) {
		if (span_is(s, key->choices[i].name)) {
			*value = key->choices[i].value;
			return true;
		}
	}
	return false;
}

static bool is_legal(const struct config_key *key, uint64_t number)
{
	return number >= key->min && number <= key->max &&
	       (!key->multiple || number % key->multiple == 0);
}

int config_value_parse(const struct config_key *key, struct span s, struct config_value *value,
		       struct config_error *error, unsigned int line)
{
	bool good = find_choice(key, s, &value->number);

	if (key->type == VALUE_NUMBER)
		good = good || (parse_number(s, &value->number) && is_legal(key, value->number));
	if (key->type == VALUE_SIZE)
		good = good || (parse_size(s, &value->number) && is_legal(key, value->number));
	if (key->type == VALUE_TEXT) {
		good = span_is_name(s);
		if (good)
			span_copy_name(s, value->text);
	}
	return good ? 0 : refuse_value(key, s, error, line);
}

void config_value_store(const struct config_key *key, const struct config_value *value, void *base)
{
	const void *from = key->type == VALUE_TEXT ? (const void *)value->text : &value->number;

	/* A number's low bytes come first, so this shortens it. */
	__builtin_memcpy((char *)base + key->offset, from, key->bytes);
}
