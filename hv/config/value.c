/* SPDX-License-Identifier: MIT */
/* Values of the configuration: see hv/config/value.h. */
#include "hv/config/value.h"

#include "mm/err.h"

static void put_choices(const struct config_key *key, char text[CONFIG_TEXT_MAX])
{
	for (size_t i = 0; i < key->nchoices; i++) {
		config_put(text, i ? ", " : "");
		config_put(text, key->choices[i].name);
	}
}

static void put_range(const struct config_key *key, char text[CONFIG_TEXT_MAX])
{
	void (*put_limit)(char *, uint64_t) = key->type == CONFIG_SIZE ? config_put_size
								       : config_put_number;

	put_limit(text, key->min);
	config_put(text, " to ");
	put_limit(text, key->max);
	if (key->multiple) {
		config_put(text, ", a multiple of ");
		put_limit(text, key->multiple);
	}
	config_put(text, key->nchoices ? ", or " : "");
	put_choices(key, text);
}

void config_print_legal(const struct config_key *key, char text[CONFIG_TEXT_MAX])
{
	switch (key->type) {
	case CONFIG_CHOICE:
		put_choices(key, text);
		break;
	case CONFIG_TEXT:
		config_put(text, "1 to ");
		config_put_number(text, CONFIG_NAME_MAX - 1);
		config_put(text, " letters, digits or any of _-.+/");
		break;
	case CONFIG_IPV4:
		config_put(text, "four numbers of 0 to 255 with dots between");
		break;
	case CONFIG_NUMBER:
	case CONFIG_SIZE:
		put_range(key, text);
		break;
	}
}

static int refuse_value(const struct config_key *key, struct span s, struct config_error *error,
			unsigned int line)
{
	int err = config_refuse(error, line);

	config_put(error->text, key->name);
	config_put(error->text, "=");
	config_put_span(error->text, s);
	config_put(error->text, key->type == CONFIG_CHOICE ? ": must be one of " : ": must be ");
	config_print_legal(key, error->text);
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

static bool parse_ipv4(struct span s, uint64_t *address)
{
	*address = 0;
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t byte;

		if (!parse_number(i < 3 ? span_cut(&s, '.') : s, &byte) || byte > 255)
			return false;
		*address = *address << 8 | byte;
	}
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

	if (key->type == CONFIG_NUMBER)
		good = good || (parse_number(s, &value->number) && is_legal(key, value->number));
	if (key->type == CONFIG_SIZE)
		good = good || (parse_size(s, &value->number) && is_legal(key, value->number));
	if (key->type == CONFIG_IPV4)
		good = parse_ipv4(s, &value->number);
	if (key->type == CONFIG_TEXT) {
		good = span_is_name(s);
		if (good)
			span_copy_name(s, value->text);
	}
	return good ? 0 : refuse_value(key, s, error, line);
}

void config_value_store(const struct config_key *key, const struct config_value *value, void *base)
{
	const void *from = key->type == CONFIG_TEXT ? (const void *)value->text : &value->number;

	/* A number's low bytes come first, so this shortens it. */
	__builtin_memcpy((char *)base + key->offset, from, key->bytes);
}

uint64_t config_value_number(const struct config_key *key, const void *base)
{
	uint64_t number = 0;

	__builtin_memcpy(&number, (const char *)base + key->offset, key->bytes);
	return number;
}

static void put_ipv4(char text[CONFIG_TEXT_MAX], uint64_t address)
{
	for (unsigned int shift = 32; shift; shift -= 8) {
		config_put_number(text, address >> (shift - 8) & 0xff);
		config_put(text, shift > 8 ? "." : "");
	}
}

/* The name of a value, or NULL where it is said as a number. */
static const char *choice_name(const struct config_key *key, uint64_t value)
{
	if (key->type != CONFIG_CHOICE && is_legal(key, value))
		return NULL;
	for (size_t i = 0; i < key->nchoices; i++) {
		if (key->choices[i].value == value)
			return key->choices[i].name;
	}
	return NULL;
}

void config_print_value(const struct config_key *key, const void *base, char text[CONFIG_TEXT_MAX])
{
	uint64_t number;

	if (key->type == CONFIG_TEXT) {
		config_put(text, (const char *)base + key->offset);
		return;
	}
	number = config_value_number(key, base);
	if (choice_name(key, number))
		config_put(text, choice_name(key, number));
	else if (key->type == CONFIG_SIZE)
		config_put_size(text, number);
	else if (key->type == CONFIG_IPV4)
		put_ipv4(text, number);
	else
		config_put_number(text, number);
}
