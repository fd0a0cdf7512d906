/* SPDX-License-Identifier: MIT */
/* Taking pieces of text apart, and putting messages together: for the configuration. */
#ifndef HV_CONFIG_TEXT_H
#define HV_CONFIG_TEXT_H

#include "hv/config/config.h"

/* A piece of text: not ended by a 0. */
struct span {
	const char *p;
	size_t n;
};

bool span_is(struct span s, const char *text);

/* Without blanks at both ends. */
struct span span_trim(struct span s);

/* Cuts off the text before the first `c`; leaves in *s the text after it. Without any `c`, cuts off
 * all of *s. */
struct span span_cut(struct span *s, char c);

/* Cuts off the text before the first blank; leaves in *s that blank and the rest. */
struct span span_cut_word(struct span *s);

/* Without the mark that some editors put in front of UTF-8. */
struct span span_skip_bom(struct span s);

bool span_has(struct span s, char c);

/* 1 to CONFIG_NAME_MAX - 1 letters, digits and _-.+/ only. */
bool span_is_name(struct span s);

/* Writes the name and a 0. Call span_is_name() first. */
void span_copy_name(struct span s, char name[CONFIG_NAME_MAX]);

#define CONFIG_TEXT_MAX 512 /* bytes of every text that is put together here, with its 0 */

struct config_error {
	unsigned int line;          /* counted from 1; 0: no line, or the load options */
	char text[CONFIG_TEXT_MAX]; /* "line 4: backing=3M: must be one of auto, 4K, 2M, 1G" */
};

#define CONFIG_NO_LINE 0          /* the file as a whole */
#define CONFIG_OPTIONS UINT32_MAX /* the load options */

/* Begins a message, "line 4: "; add to it by config_put(). Always returns -EINVAL.
 * @line: counted from 1, or one of the two above */
int config_refuse(struct config_error *error, unsigned int line);

/* These add to a text as much as fits. */
void config_put(char text[CONFIG_TEXT_MAX], const char *more);
void config_put_span(char text[CONFIG_TEXT_MAX], struct span s); /* made printable, shortened */
void config_put_number(char text[CONFIG_TEXT_MAX], uint64_t v);
void config_put_size(char text[CONFIG_TEXT_MAX], uint64_t bytes); /* "8M" */

#endif
