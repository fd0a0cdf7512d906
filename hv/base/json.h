/* SPDX-License-Identifier: MIT */
/* One line of JSON for programs, which the launcher takes into report.json. */
#ifndef HV_BASE_JSON_H
#define HV_BASE_JSON_H

#include "mm/types.h"

/* What does not fit is cut off: then the line is no JSON. */
struct json {
	char text[4096];
	size_t n;
	bool comma; /* the next member needs one before it */
};

/* Begins the one object that the line is. */
void json_begin(struct json *j);

/* Text as it is, for what is nested: the caller sees to commas. */
void json_put(struct json *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void json_int(struct json *j, const char *key, int64_t value);

/* @value: without quotes, backslashes and control characters */
void json_str(struct json *j, const char *key, const char *value);

/* Ends the object, and prints the line. */
void json_end(struct json *j);

#endif
