/* SPDX-License-Identifier: MIT */
/* A run's configuration as one line. See hv/config/changed.h. */
#include "hv/config/changed.h"

#include "hv/config/value.h"

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

void config_put_changed(const struct run_config *run, char text[CONFIG_TEXT_MAX])
{
	for (unsigned int i = 0; i < config_nkeys; i++) {
		const struct config_key *key = &config_keys[i];
		char value[CONFIG_TEXT_MAX] = "";

		if (key->machine)
			continue;
		config_print_value(key, run, value);
		if (same(value, key->initial))
			continue;
		config_put(text, " ");
		config_put(text, key->name);
		config_put(text, "=");
		config_put(text, value);
	}
}
