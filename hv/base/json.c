/* SPDX-License-Identifier: MIT */
/* Printing JSON. See hv/base/json.h. */
#include "hv/base/json.h"

#include "hv/base/console.h"

static void put(struct json *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct json *j, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fmt_vprint(j->text + MIN(j->n, sizeof(j->text) - 1),
		       sizeof(j->text) - MIN(j->n, sizeof(j->text) - 1), fmt, ap);
	va_end(ap);
	j->n += (size_t)n;
}

static void put_key(struct json *j, const char *key)
{
	if (j->comma)
		put(j, ",");
	if (key)
		put(j, "\"%s\":", key);
	j->comma = true;
}

void json_begin_as(struct json *j, const char *words)
{
	j->n = 0;
	j->comma = false;
	put(j, "%s{", words);
}

void json_begin(struct json *j)
{
	json_begin_as(j, "cleave-json: ");
}

void json_end(struct json *j)
{
	put(j, "}\n");
	if (j->n >= sizeof(j->text))
		con_printf("cleave: a line of %zu bytes of JSON does not fit\n", j->n);
	else
		con_write(j->text, j->n);
}

void json_int(struct json *j, const char *key, int64_t value)
{
	put_key(j, key);
	put(j, "%lld", (long long)value);
}

void json_uint(struct json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	put(j, "%llu", (unsigned long long)value);
}

/* Bytes before one that is escaped. */
static int plain_bytes(const char *text)
{
	int n = 0;

	while (text[n] && text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}

void json_str(struct json *j, const char *key, const char *value)
{
	put_key(j, key);
	put(j, "\"");
	while (*value) {
		int plain = plain_bytes(value);

		put(j, "%.*s", plain, value);
		value += plain;
		if (*value)
			put(j, "\\%c", *value++);
	}
	put(j, "\"");
}

void json_open(struct json *j, const char *key, char bracket)
{
	put_key(j, key);
	put(j, "%c", bracket);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	put(j, "%c", bracket);
	j->comma = true;
}
