/* SPDX-License-Identifier: MIT */
/* One line of JSON, for programs: `cleave-json: {...}`. */
#ifndef HV_BASE_JSON_H
#define HV_BASE_JSON_H

#include "mm/types.h"

#define JSON_MAX 16384 /* bytes of a line */

struct json {
	char text[JSON_MAX];
	size_t n;
	bool comma; /* the next value follows another one */
};

/* Begin a line; end and print it. Instead of a line that is too long, prints one that says so. */
void json_begin(struct json *j);
/* Begins one with other words before the bracket. */
void json_begin_as(struct json *j, const char *words);
void json_end(struct json *j);

void json_int(struct json *j, const char *key, int64_t value);
void json_uint(struct json *j, const char *key, uint64_t value);
void json_str(struct json *j, const char *key, const char *value);

/* A value within an object or an array; `key` NULL: in an array. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);

#endif
