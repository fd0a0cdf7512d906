/* SPDX-License-Identifier: MIT */
/*
 * An answer of the monitor. The same values become lines of text for people, which end with a line
 * `ok` or `error: ...`, or one line of JSON.
 */
#ifndef HV_MONITOR_ANSWER_H
#define HV_MONITOR_ANSWER_H

#include "hv/base/json.h"

#define ANSWER_MAX  8192 /* bytes of an answer */
#define ANSWER_TAIL 700  /* of these, kept for its end: a sentence */

struct answer {
	bool json;
	bool inside; /* within an object: in text, one line */
	bool comma, cut;
	size_t n;
	char text[ANSWER_MAX];
};

void answer_begin(struct answer *a, bool json);

/* A value, by its name; with NULL, in text a line of its own, in JSON within an array. */
void answer_int(struct answer *a, const char *key, int64_t value);
void answer_hex(struct answer *a, const char *key, uint64_t value); /* in JSON a number */
void answer_str(struct answer *a, const char *key, const char *value);

/* An object: in text, one line `key: a=1 b=2`. They do not nest. */
void answer_open(struct answer *a, const char *key);
void answer_close(struct answer *a);

/* Ends it. @error: NULL: ok; or what is wrong, a sentence */
void answer_end(struct answer *a, const char *error);

#endif
