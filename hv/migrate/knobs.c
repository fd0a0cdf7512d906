/* SPDX-License-Identifier: MIT */
/* Every key's value, for a report. See hv/migrate/knobs.h. */
#include "hv/migrate/knobs.h"

#include "hv/config/value.h"

static void put(struct json *j, const struct config_key *key, const void *base)
{
	char text[CONFIG_TEXT_MAX] = "";

	if (key->type == CONFIG_NUMBER && !key->nchoices) {
		json_uint(j, key->name, config_value_number(key, base));
		return;
	}
	config_print_value(key, base, text);
	json_str(j, key->name, text);
}

static void put_keys(struct json *j, const char *name, const void *base, bool machine)
{
	json_open(j, name, '{');
	for (unsigned int i = 0; i < config_nkeys; i++)
		if (config_keys[i].machine == machine)
			put(j, &config_keys[i], base);
	json_close(j, '}');
}

void knobs_put(struct json *j, const struct hv_config *machine, const struct run_config *run)
{
	put_keys(j, "config", run, false);
	put_keys(j, "machine_config", machine, true);
}
