/* SPDX-License-Identifier: MIT */
/* Pieces of somebody's text, and messages about them: for the parser of the configuration. */
#ifndef BOOT_CONFIG_TEXT_H
#define BOOT_CONFIG_TEXT_H

#include "boot/config.h"

/* A piece of text: not ended by a 0. */
struct span {
	const char *p;
	size_t n;
};

bool span_is(struct span s, const char *text);

/* Without blanks at both ends. */
struct span span_trim(struct span s);

/* What comes before the first `c`; *s is left with what comes after it. Without any `c` it is all
 * of *s, which is left empty. */
struct span span_cut(struct span *s, char c);

/* What comes before the first blank; *s is left with that blank and what follows. */
struct span span_cut_word(struct span *s);

/* Without the mark that some editors put in front of UTF-8. */
struct span span_skip_bom(struct span s);

bool span_has(struct span s, char c);

/* 1 to CONFIG_NAME_MAX - 1 letters, digits and _-.+/ only. */
bool span_is_name(struct span s);

/* The caller has checked it: writes the name and a 0. */
void span_copy_name(struct span s, char name[CONFIG_NAME_MAX]);

#define CONFIG_NO_LINE 0          /* the file as a whole */
#define CONFIG_OPTIONS UINT32_MAX /* the load options */

/* Begins a message, "line 4: "; the caller goes on with config_put(). Always returns -EINVAL.
 * @line: counted from 1, or one of the two above */
int config_refuse(struct config_error *error, unsigned int line);

/* These add to a message; what does not fit is left out. */
void config_put(struct config_error *error, const char *text);
void config_put_span(struct config_error *error, struct span s); /* made printable, shortened */
void config_put_number(struct config_error *error, uint64_t v);
void config_put_size(struct config_error *error, uint64_t bytes); /* "8M" */

#endif
