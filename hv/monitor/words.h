/* SPDX-License-Identifier: MIT */
/*
 * The monitor's commands: one table, and the parser of a line. Pure: text in, a call or one
 * sentence out. A new command is a new row, and a function in hv/monitor/monitor.c.
 */
#ifndef HV_MONITOR_WORDS_H
#define HV_MONITOR_WORDS_H

#include "hv/config/value.h"

#define MONITOR_ARGS_MAX 3
#define MONITOR_LINE_MAX 200 /* bytes of a line, without its end */

/* X(ENUMERATOR, words) */
#define MONITOR_WORDS(X)                                                                           \
	X(HELP, "help")                                                                            \
	X(INFO_VM, "info vm")                                                                      \
	X(INFO_CPUS, "info cpus")                                                                  \
	X(INFO_MEM, "info mem")                                                                    \
	X(INFO_EPT, "info ept")                                                                    \
	X(INFO_STATS, "info stats")                                                                \
	X(INFO_KNOBS, "info knobs")                                                                \
	X(INFO_MIGRATION, "info migration")                                                        \
	X(EPT_SPLIT, "ept split")                                                                  \
	X(EPT_COLLAPSE, "ept collapse")                                                            \
	X(EPT_POISON, "ept poison")                                                                \
	X(EPT_DISCARD, "ept discard")                                                              \
	X(EPT_PROTECT, "ept protect")                                                              \
	X(POLICY, "policy")                                                                        \
	X(STREAM, "stream")                                                                        \
	X(SOURCE, "source")                                                                        \
	X(MIGRATE, "migrate")                                                                      \
	X(PAUSE, "pause")                                                                          \
	X(RESUME, "resume")                                                                        \
	X(QUIT, "quit")                                                                            \
	X(JSON, "json")

enum monitor_word_id {
#define X(id, words) MONITOR_##id,
	MONITOR_WORDS(X)
#undef X
	MONITOR_WORDS_N
};

/* stream RATE: besides a number of pages per millisecond */
#define MONITOR_RATE_PAUSE UINT64_C(0)
#define MONITOR_RATE_GO    (UINT64_MAX - 1) /* the rate that it had before */

/* source, json: the first name of their argument is 1, the second 0. */

struct monitor_word {
	const char *name;
	const struct config_key *arg[MONITOR_ARGS_MAX]; /* names, kinds and limits */
	unsigned int least;                             /* arguments that must be there */
	const char *about;                              /* for help: a phrase */
};

extern const struct monitor_word monitor_words[MONITOR_WORDS_N];

struct monitor_call {
	enum monitor_word_id id;
	unsigned int args; /* that were given */
	struct config_value arg[MONITOR_ARGS_MAX];
};

/**
 * monitor_parse() - read a command.
 * @line: any bytes, without the line's end
 * @error: on a refusal, what is wrong and, where the command is known, its usage
 * Return: 0; -ENOENT: the line is blank; -EINVAL and *error.
 */
int must_check monitor_parse(const char *line, size_t bytes, struct monitor_call *call,
			     struct config_error *error);

/* Adds "ept split GPA BYTES [4K|2M]" to a text. */
void monitor_put_usage(const struct monitor_word *word, char text[CONFIG_TEXT_MAX]);

#endif
