/* SPDX-License-Identifier: MIT */
/*
 * The table of the keys: sound in itself, printed as it is read, and the same as the tables of
 * docs/configuration.md. With the arguments `write FILE` this program puts them there.
 */
#include "tests/host/config_case.h"

#include "hv/config/changed.h"
#include "hv/config/value.h"

#define DOC     "docs/configuration.md"
#define DOC_MAX (64 * KIB)
#define HEAD    "| key | values | default | meaning |\n|---|---|---|---|\n"

static struct span span_of(const char *text)
{
	return (struct span){ text, strlen(text) };
}

static bool same_member(const struct config_key *a, const struct config_key *b)
{
	return a->machine == b->machine && a->offset == b->offset;
}

static void names_and_members_differ(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < config_nkeys; i++) {
		assert_ptr_equal(config_key_find(span_of(config_keys[i].name)), &config_keys[i]);
		assert_true(config_key_bit(&config_keys[i]) == UINT64_C(1) << i);
		for (unsigned int j = 0; j < i; j++)
			assert_false(same_member(&config_keys[i], &config_keys[j]));
	}
}

static void each_key_is_explained_in_sentences(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < config_nkeys; i++) {
		const struct config_key *key = &config_keys[i];
		size_t n = strlen(key->about);

		assert_true(n > 10 && key->about[n - 1] == '.');
		assert_null(strpbrk(key->about, "|\n"));
		assert_false(i > 0 && key->machine && !config_keys[i - 1].machine);
	}
}

/* Sets the one key in a configuration of its own, and prints what it then is. */
static void print_as_read(const struct config_key *key, const char *value, char *text)
{
	struct config_value parsed = { 0 };
	void *base = key->machine ? (void *)&config : (void *)&config.run[0];

	config_defaults(&config);
	if (config_value_parse(key, span_of(value), &parsed, &error, CONFIG_NO_LINE))
		fail_msg("%s", error.text);
	config_value_store(key, &parsed, base);
	text[0] = 0;
	config_print_value(key, base, text);
}

static void what_is_printed_reads_back_as_the_same(const struct config_key *key, const char *value)
{
	char once[CONFIG_TEXT_MAX], twice[CONFIG_TEXT_MAX];

	print_as_read(key, value, once);
	print_as_read(key, once, twice);
	assert_string_equal(once, twice);
}

static void every_value_is_printed_as_the_parser_takes_it(void **state)
{
	char number[32], text[CONFIG_TEXT_MAX];

	(void)state;
	for (unsigned int i = 0; i < config_nkeys; i++) {
		const struct config_key *key = &config_keys[i];

		what_is_printed_reads_back_as_the_same(key, key->initial);
		for (size_t c = 0; c < key->nchoices; c++)
			what_is_printed_reads_back_as_the_same(key, key->choices[c].name);
		if (key->type != CONFIG_NUMBER && key->type != CONFIG_SIZE)
			continue;
		snprintf(number, sizeof(number), "%llu", (unsigned long long)key->max);
		what_is_printed_reads_back_as_the_same(key, number);
		print_as_read(key, number, text);
		assert_string_equal(text, key->type == CONFIG_SIZE ? "512G" : number);
	}
}

static void every_name_of_an_enumeration_is_taken(void **state)
{
	static const char *const exits[] = { "halt", "bochs", "qemu", "reset" };
	static const char *const backings[] = { "", "4K", "2M", "1G" };
	static const char *const policies[] = {
#define X(id, name) #name,
		CONFIG_POLICIES(X)
#undef X
	};
	static const char *const triggers[] = { "ready", "guest", "time" };
	static const char *const orders[] = { "linear",  "reverse", "random", "bubble",
					      "densest", "record",  "replay", "none" };
	static const char *const logs[] = { "auto", "writes", "bits", "hardware" };
	static const char *const arrivals[] = { "4K", "64K", "2M", "1G" };
	static const uint64_t arrival[] = { 4 * KIB, 64 * KIB, 2 * MIB, GIB };
	char text[100];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(policies); i++) {
		snprintf(text, sizeof(text), "collapse=%s\n", policies[i]);
		takes(text);
		assert_int_equal(config.run[0].policy, i);
	}
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "exit=%s\norder=%s\nlog=%s\narrive=%s\n", exits[i],
			 orders[i], logs[i], arrivals[i]);
		takes(text);
		assert_int_equal(config.exit, i);
		assert_int_equal(config.run[0].order, i);
		assert_int_equal(config.run[0].log, i);
		assert_int_equal(config.run[0].arrive, arrival[i]);
		snprintf(text, sizeof(text), "backing=%s\ntrigger=%s\n", backings[i % 3 + 1],
			 triggers[i % 3]);
		takes(text);
		assert_int_equal(config.run[0].backing, i % 3 + 1);
		assert_int_equal(config.run[0].trigger, i % 3);
	}
}

static const char *printed(const char *name)
{
	static char text[CONFIG_TEXT_MAX];
	const struct config_key *key = config_key_find(span_of(name));

	text[0] = 0;
	config_print_value(key, key->machine ? (void *)&config : (void *)&config.run[0], text);
	return text;
}

static void values_are_printed_as_a_report_needs_them(void **state)
{
	(void)state;
	takes("cpus=8\nregion=192M\nwork=12K\nbacking=2M\nseed=18446744073709551615\n"
	      "guest=pair\narrive=64K\nexit=qemu\n");
	assert_string_equal(printed("cpus"), "8");
	assert_string_equal(printed("region"), "192M");
	assert_string_equal(printed("work"), "12K");
	assert_string_equal(printed("backing"), "2M");
	assert_string_equal(printed("seed"), "18446744073709551615");
	assert_string_equal(printed("guest"), "pair");
	assert_string_equal(printed("arrive"), "64K");
	assert_string_equal(printed("stream"), "unlimited");
	assert_string_equal(printed("exit"), "qemu");
	assert_string_equal(printed("collapse"), "complete");
}

static const char *changed(void)
{
	static char text[CONFIG_TEXT_MAX];

	text[0] = 0;
	config_put_changed(&config.run[0], text);
	return text;
}

static void a_run_says_what_is_not_its_default(void **state)
{
	char again[CONFIG_TEXT_MAX];

	(void)state;
	takes("verbose=0\nguest=seq\nwork=auto\n");
	assert_string_equal(changed(), "");
	takes("verbose=0\nwork=0x2000\nguest=pair\nstream=9\n[a]\njob=log\nbacking=2M\n");
	assert_string_equal(changed(), " job=log guest=pair backing=2M stream=9 work=8K");
	snprintf(again, sizeof(again), "%s", changed());
	for (char *blank = again; (blank = strchr(blank, ' '));)
		*blank = '\n';
	takes(again);
	assert_string_equal(changed(), " job=log guest=pair backing=2M stream=9 work=8K");
}

/* The rows of the table for the machine, or for a run. */
static void put_rows(char *to, bool machine)
{
	to += sprintf(to, HEAD);
	for (unsigned int i = 0; i < config_nkeys; i++) {
		const struct config_key *key = &config_keys[i];
		char legal[CONFIG_TEXT_MAX] = "";

		if (key->machine != machine)
			continue;
		config_print_legal(key, legal);
		to += sprintf(to, "| `%s` | %s | %s | %s |\n", key->name, legal, key->initial,
			      key->about);
	}
}

static bool read_doc(const char *path, char *doc)
{
	FILE *file = fopen(path, "r");

	if (!file)
		return false;
	doc[fread(doc, 1, DOC_MAX - 1, file)] = 0;
	fclose(file);
	return true;
}

/* Cuts the next of the document's tables out: *from is left behind it, at an empty line. */
static bool cut_table(char **from, char *table)
{
	char *start = strstr(*from, HEAD), *end = start ? strstr(start, "|\n\n") : NULL;

	if (!end)
		return false;
	memcpy(table, start, (size_t)(end + 2 - start));
	table[end + 2 - start] = 0;
	*from = end + 2;
	return true;
}

static void the_document_has_the_same_table(void **state)
{
	static char doc[DOC_MAX], there[DOC_MAX], right[DOC_MAX];
	char *at = doc;

	(void)state;
	assert_true(read_doc(DOC, doc));
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(cut_table(&at, there));
		put_rows(right, i == 0);
		if (strcmp(there, right))
			fail_msg("%s differs from hv/config/keys.c: `make docs` writes it", DOC);
	}
}

/* Puts the tables where the document has its own. */
static int write_doc(const char *path)
{
	static char doc[DOC_MAX], old[DOC_MAX], rows[DOC_MAX];
	char *at = doc, *from = doc;
	FILE *file;

	if (!read_doc(path, doc))
		return 1;
	file = fopen(path, "w");
	if (!file)
		return 1;
	for (unsigned int i = 0; i < 2 && cut_table(&at, old); i++) {
		put_rows(rows, i == 0);
		fprintf(file, "%.*s%s", (int)(at - from - (long)strlen(old)), from, rows);
		from = at;
	}
	fputs(from, file);
	return fclose(file) ? 1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_members_differ),
		cmocka_unit_test(each_key_is_explained_in_sentences),
		cmocka_unit_test(every_value_is_printed_as_the_parser_takes_it),
		cmocka_unit_test(every_name_of_an_enumeration_is_taken),
		cmocka_unit_test(values_are_printed_as_a_report_needs_them),
		cmocka_unit_test(a_run_says_what_is_not_its_default),
		cmocka_unit_test(the_document_has_the_same_table),
	};

	if (argc == 3 && !strcmp(argv[1], "write"))
		return write_doc(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
