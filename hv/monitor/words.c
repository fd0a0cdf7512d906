/* SPDX-License-Identifier: MIT */
/* The monitor's commands. See hv/monitor/words.h. */
#include "hv/monitor/words.h"

#include "ept/format.h"
#include "mm/err.h"

/* --- arguments: kinds and limits as the configuration's ------------------------------------- */

static const struct config_choice rates[] = {
	{ "unlimited", CONFIG_UNLIMITED },
	{ "pause", MONITOR_RATE_PAUSE },
	{ "go", MONITOR_RATE_GO },
};

static const struct config_choice policies[] = {
#define X(id, name) { #name, POLICY_##id },
	CONFIG_POLICIES(X)
#undef X
};

/* "complete|end|...": without the bar before the first. */
#define POLICY_NAME(id, name) "|" #name
#define POLICY_NAMES          (&CONFIG_POLICIES(POLICY_NAME)[1])

static const struct config_choice links[] = {
	{ "restore", 0 },
	{ "cut", 1 },
};

static const struct config_choice switches[] = {
	{ "off", 0 },
	{ "on", 1 },
};

static const struct config_choice levels[] = {
	{ "4K", PG_LEVEL_4K },
	{ "2M", PG_LEVEL_2M },
};

static const struct config_choice rights[] = {
	{ "r", EPT_R },
	{ "rw", EPT_R | EPT_W },
	{ "rx", EPT_R | EPT_X },
	{ "rwx", EPT_R | EPT_W | EPT_X },
};

#define CHOICE(array)                                                                              \
	.type = CONFIG_CHOICE, .bytes = sizeof(uint64_t), .choices = (array),                      \
	.nchoices = ARRAY_LEN(array)
#define SIZE(from)                                                                                 \
	.type = CONFIG_SIZE, .bytes = sizeof(uint64_t), .min = (from), .max = 512 * GIB,           \
	.multiple = PAGE_SIZE

static const struct config_key gpa_arg = { .name = "GPA", SIZE(0) };
static const struct config_key bytes_arg = { .name = "BYTES", SIZE(PAGE_SIZE) };
static const struct config_key level_arg = { .name = "4K|2M", CHOICE(levels) };
static const struct config_key perms_arg = { .name = "r|rw|rx|rwx", CHOICE(rights) };
static const struct config_key policy_arg = { .name = POLICY_NAMES, CHOICE(policies) };
static const struct config_key on_off_arg = { .name = "on|off", CHOICE(switches) };
static const struct config_key link_arg = { .name = "cut|restore", CHOICE(links) };
static const struct config_key command_arg = { .name = "COMMAND", .type = CONFIG_TEXT };
static const struct config_key rate_arg = { .name = "RATE|pause|go",
					    .type = CONFIG_NUMBER,
					    .bytes = sizeof(uint64_t),
					    .min = 1,
					    .max = CONFIG_STREAM_MAX,
					    .choices = rates,
					    .nchoices = ARRAY_LEN(rates) };

/* --- commands ------------------------------------------------------------------------------ */

#define RANGE .arg = { &gpa_arg, &bytes_arg }, .least = 2

const struct monitor_word monitor_words[] = {
	[MONITOR_HELP] = { .arg = { &command_arg },
			   .about = "the commands, or those of one name; or what a key "
				    "of the configuration means" },
	[MONITOR_INFO_VM] = { .about = "the VM and what it does" },
	[MONITOR_INFO_CPUS] = { .about = "each vCPU: does it run, or wait for which page?" },
	[MONITOR_INFO_MEM] = { .about = "its memory: leaves by size, tables, free frames" },
	[MONITOR_INFO_EPT] = { .arg = { &gpa_arg },
			       .about = "the second stage: all of it, or the way to one page" },
	[MONITOR_INFO_STATS] = { .about = "every counter" },
	[MONITOR_INFO_KNOBS] = { .about = "every key of the configuration, as this run has it" },
	[MONITOR_INFO_MIGRATION] = { .about = "how far the migration is" },
	[MONITOR_EPT_SPLIT] = { .arg = { &gpa_arg, &bytes_arg, &level_arg },
				.least = 2,
				.about = "into leaves of 4K (default) or 2M" },
	[MONITOR_EPT_COLLAPSE] = { RANGE, .about = "into leaves as large as they can be" },
	[MONITOR_EPT_POISON] = { RANGE, .about = "the memory is lost: touching it is a "
						 "machine check" },
	[MONITOR_EPT_DISCARD] = { RANGE, .about = "gives up the contents: reads as zeros" },
	[MONITOR_EPT_PROTECT] = { .arg = { &gpa_arg, &bytes_arg, &perms_arg },
				  .least = 3,
				  .about = "grants just these rights: r, rw, rx or rwx" },
	[MONITOR_POLICY] = { .arg = { &policy_arg },
			     .least = 1,
			     .about = "when complete ranges collapse from now on" },
	[MONITOR_STREAM] = { .arg = { &rate_arg },
			     .least = 1,
			     .about = "the background stream: pages per ms, or unlimited" },
	[MONITOR_SOURCE] = { .arg = { &link_arg },
			     .least = 1,
			     .about = "the link to the source: cut, no page comes" },
	[MONITOR_MIGRATE] = { .about = "begins the migration now, whatever trigger= says" },
	[MONITOR_PAUSE] = { .about = "all vCPUs and the migration stand still" },
	[MONITOR_RESUME] = { .about = "they go on" },
	[MONITOR_QUIT] = { .about = "ends the machine; what runs has failed" },
	[MONITOR_JSON] = { .arg = { &on_off_arg },
			   .least = 1,
			   .about = "each answer is one line of JSON, for programs" },
#define X(id, words) [MONITOR_##id].name = (words),
	MONITOR_WORDS(X)
#undef X
};

static unsigned int most_args(const struct monitor_word *word)
{
	unsigned int n = 0;

	while (n < MONITOR_ARGS_MAX && word->arg[n])
		n++;
	return n;
}

void monitor_put_usage(const struct monitor_word *word, char text[CONFIG_TEXT_MAX])
{
	config_put(text, word->name);
	for (unsigned int i = 0; i < most_args(word); i++) {
		config_put(text, i < word->least ? " " : " [");
		config_put(text, word->arg[i]->name);
		config_put(text, i < word->least ? "" : "]");
	}
}

/* --- parsing ------------------------------------------------------------------------------- */

static struct span next_word(struct span *rest)
{
	*rest = span_trim(*rest);
	return span_cut_word(rest);
}

/* Does the line begin with the command's words? Then *rest is what follows. */
static bool begins_with(struct span line, const char *name, struct span *rest)
{
	struct span words = { name, __builtin_strlen(name) };

	*rest = line;
	while (words.n) {
		struct span want = next_word(&words), have = next_word(rest);

		if (want.n != have.n || __builtin_memcmp(want.p, have.p, want.n))
			return false;
		words = span_trim(words);
	}
	return true;
}

static int refuse(struct config_error *error, const char *before, struct span s, const char *after)
{
	int err = config_refuse(error, CONFIG_NO_LINE);

	config_put(error->text, before);
	config_put_span(error->text, s);
	config_put(error->text, after);
	return err;
}

static int add_usage(const struct monitor_word *word, struct config_error *error)
{
	config_put(error->text, "; usage: ");
	monitor_put_usage(word, error->text);
	return -EINVAL;
}

static int parse_args(const struct monitor_word *word, struct span rest, struct monitor_call *call,
		      struct config_error *error)
{
	unsigned int most = most_args(word);

	for (rest = span_trim(rest); rest.n; rest = span_trim(rest)) {
		struct span s = span_cut_word(&rest);

		if (call->args == most) {
			(void)refuse(error, "'", s, "' is one argument too many");
			return add_usage(word, error);
		}
		if (config_value_parse(word->arg[call->args], s, &call->arg[call->args], error,
				       CONFIG_NO_LINE))
			return add_usage(word, error);
		call->args++;
	}
	if (call->args >= word->least)
		return 0;
	(void)refuse(error, word->arg[call->args]->name, (struct span){ "", 0 }, " is missing");
	return add_usage(word, error);
}

int monitor_parse(const char *line, size_t n, struct monitor_call *call, struct config_error *error)
{
	struct span text = { line, n }, rest;

	*call = (struct monitor_call){ .id = MONITOR_HELP };
	if (n > MONITOR_LINE_MAX)
		return refuse(error, "'", text, "' is too long; a line has at most 200 bytes");
	text = span_trim(text);
	if (!text.n)
		return -ENOENT;
	for (unsigned int i = 0; i < MONITOR_WORDS_N; i++) {
		if (!begins_with(text, monitor_words[i].name, &rest))
			continue;
		call->id = (enum monitor_word_id)i;
		return parse_args(&monitor_words[i], rest, call, error);
	}
	return refuse(error, "unknown command '", text, "'; `help` lists them");
}
