/* SPDX-License-Identifier: MIT */
/*
 * The parser of cleave.cfg and of the UEFI load options. Pure: text in, struct hv_config or one
 * sentence out. It refuses, by name, keys that are unknown, malformed, doubled or out of range.
 *
 * Syntax of the file: lines of at most CONFIG_LINE_MAX bytes, ended by LF or CR LF; `#` begins a
 * comment. Blanks around a line, a key and a value are ignored; so is UTF-8's byte order mark at
 * the beginning of a line. `[name]` begins a run; names and the values of `job` and `guest` consist
 * of letters, digits and `_ - . + /`. Numbers are decimal or 0x hexadecimal; sizes may end in K, M
 * or G. Set a key at most once in each section.
 */
#ifndef HV_CONFIG_PARSE_H
#define HV_CONFIG_PARSE_H

#include "hv/config/text.h"

#define CONFIG_BYTES_MAX (256 * KIB) /* of a whole file */
#define CONFIG_LINE_MAX  200         /* bytes of a line, without its end */

/* Sets the defaults: one run, called "run", with each key's default. */
void config_defaults(struct hv_config *config);

/**
 * config_parse() - read cleave.cfg.
 * @config: as config_defaults() left it
 * @text: bytes of text, which need not end in a 0
 * Return: 0; or -EINVAL and *error. Then *config has no runs, but the machine's keys before that
 * line hold, so that the machine ends as the user chose.
 */
int must_check config_parse(struct hv_config *config, const char *text, size_t bytes,
			    struct config_error *error);

/**
 * config_override() - apply load options: `key=value` separated by blanks. They win over the file;
 * keys of a run are set in all runs.
 * @config: as config_parse(), or config_defaults(), left it
 * @options: ASCII, ended by a 0, without the program's own name
 * Return: 0; or -EINVAL and *error. Then the machine's keys before that word hold.
 */
int must_check config_override(struct hv_config *config, const char *options,
			       struct config_error *error);

#endif
