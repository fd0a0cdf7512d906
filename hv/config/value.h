/* SPDX-License-Identifier: MIT */
/* The values that the keys of the configuration take: from text, to text. */
#ifndef HV_CONFIG_VALUE_H
#define HV_CONFIG_VALUE_H

#include "hv/config/keys.h"

struct config_value {
	uint64_t number;
	char text[CONFIG_NAME_MAX]; /* of CONFIG_TEXT */
};

/* Return: 0 and *value, or -EINVAL and *error, which says what is legal. */
int must_check config_value_parse(const struct config_key *key, struct span s,
				  struct config_value *value, struct config_error *error,
				  unsigned int line);

/* @base: here and below, the struct hv_config, or the struct run_config, that the key is about */
void config_value_store(const struct config_key *key, const struct config_value *value, void *base);

/* The value as a number: of a size its bytes, of a choice its enum's value. Not for CONFIG_TEXT. */
uint64_t config_value_number(const struct config_key *key, const void *base);

/* Adds the value to a text, as the parser would take it back: "64M", "bubble", "20". */
void config_print_value(const struct config_key *key, const void *base, char text[CONFIG_TEXT_MAX]);

/* Adds the legal values to a text: "4M to 512G, a multiple of 4K". */
void config_print_legal(const struct config_key *key, char text[CONFIG_TEXT_MAX]);

#endif
