/* SPDX-License-Identifier: MIT */
/*
 * The keys of the configuration: one table, in which each key has its one name, default, limits
 * and meaning. The parser, the defaults, the messages, the values in a report and the tables of
 * docs/configuration.md come from it. A new key is a new row, and a member in hv/config/config.h.
 */
#ifndef HV_CONFIG_KEYS_H
#define HV_CONFIG_KEYS_H

#include "hv/config/text.h"

enum config_type {
	CONFIG_CHOICE = 0, /* one of a list of names */
	CONFIG_NUMBER,
	CONFIG_SIZE, /* bytes */
	CONFIG_TEXT, /* a name: see span_is_name() */
	CONFIG_IPV4  /* 10.99.0.1 */
};

/* A value that has a name. */
struct config_choice {
	const char *name;
	uint64_t value;
};

struct config_key {
	const char *name;
	const char *initial; /* the default, as a user would write it */
	const char *about;   /* the meaning, with the unit: a sentence for the documentation */
	enum config_type type;
	bool machine;  /* a member of struct hv_config; else one of each struct run_config */
	size_t offset; /* of the member */
	size_t bytes;  /* of the member */
	uint64_t min, max;
	uint64_t multiple;                   /* min, max and this one: of numbers and sizes */
	const struct config_choice *choices; /* of a choice, or beside the numbers */
	size_t nchoices;
};

/* In the order of the documentation: first those of the machine. */
extern const struct config_key config_keys[];
extern const unsigned int config_nkeys;

/* NULL if there is no such key. */
const struct config_key *config_key_find(struct span name);

/* One bit for each key. */
uint64_t config_key_bit(const struct config_key *key);

/* Adds "backing, populate, ..." to a text. */
void config_put_keys(char text[CONFIG_TEXT_MAX]);

#endif
