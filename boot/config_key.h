/* SPDX-License-Identifier: MIT */
/* The keys of the configuration, and the values that they take. */
#ifndef BOOT_CONFIG_KEY_H
#define BOOT_CONFIG_KEY_H

#include "boot/config_text.h"

struct config_key;

struct config_value {
	uint64_t number;
	char text[CONFIG_NAME_MAX];
};

/* NULL if there is no such key. */
const struct config_key *config_key_find(struct span name);

/* One bit for each key. */
uint32_t config_key_bit(const struct config_key *key);

/* Whether it concerns the machine, not a run. */
bool config_key_of_machine(const struct config_key *key);

/* Adds "backing, populate, ..." to a message. */
void config_put_keys(struct config_error *error);

/* Return: 0 and *value, or -EINVAL and *error, which says what is legal. */
int must_check config_value_parse(const struct config_key *key, struct span s,
				  struct config_value *value, struct config_error *error,
				  unsigned int line);

/* @base: the struct hv_config, or the struct run_config, that the key is about */
void config_value_store(const struct config_key *key, const struct config_value *value, void *base);

#endif
