/* SPDX-License-Identifier: MIT */
/* A line of JSON. See hv/base/json.h. */
#include "hv/base/json.h"

#include "hv/base/console.h"

void json_begin(struct json *j)
{
	j->n = 0;
	j->comma = false;
	json_put(j, "cleave-json: {");
}

void json_put(struct json *j, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fmt_vprint(j->text + j->n, sizeof(j->text) - j->n, fmt, ap);
	va_end(ap);
	j->n = MIN(j->n + (size_t)n, sizeof(j->text) - 1);
}

void json_int(struct json *j, const char *key, int64_t value)
{
	json_put(j, "%s\"%s\":%lld", j->comma ? "," : "", key, (long long)value);
	j->comma = true;
}

void json_str(struct json *j, const char *key, const char *value)
{
	json_put(j, "%s\"%s\":\"%s\"", j->comma ? "," : "", key, value);
	j->comma = true;
}

void json_end(struct json *j)
{
	json_put(j, "}\n");
	con_write(j->text, j->n);
}
