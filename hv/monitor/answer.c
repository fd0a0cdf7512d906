/* SPDX-License-Identifier: MIT */
/* Answers of the monitor. See hv/monitor/answer.h. */
#include "hv/monitor/answer.h"

#include "hv/base/console.h"

static void put(struct answer *a, size_t most, const char *fmt, va_list ap)
{
	int n = fmt_vprint(a->text + a->n, most - a->n, fmt, ap);

	/* All or nothing. */
	if ((size_t)n < most - a->n)
		a->n += (size_t)n;
	else
		a->cut = true;
}

static void say(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!a->cut)
		put(a, ANSWER_MAX - ANSWER_TAIL, fmt, ap);
	va_end(ap);
}

static void say_last(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say_last(struct answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(a, ANSWER_MAX, fmt, ap);
	va_end(ap);
}

void answer_begin(struct answer *a, bool json)
{
	a->json = json;
	a->inside = a->comma = a->cut = false;
	a->n = 0;
	if (json)
		say(a, "{\"answer\":{");
}

static void put_key(struct answer *a, const char *key)
{
	if (a->json)
		say(a, "%s\"%s\":", a->comma ? "," : "", key);
	else if (a->inside)
		say(a, " %s=", key);
	else
		say(a, "%s: ", key);
	a->comma = true;
}

static void end_value(struct answer *a)
{
	if (!a->json && !a->inside)
		say(a, "\n");
}

void answer_int(struct answer *a, const char *key, int64_t value)
{
	put_key(a, key);
	say(a, "%lld", (long long)value);
	end_value(a);
}

void answer_hex(struct answer *a, const char *key, uint64_t value)
{
	put_key(a, key);
	say(a, a->json ? "%llu" : "0x%llx", (unsigned long long)value);
	end_value(a);
}

/* What else JSON wants to have escaped is in no text here. */
static void put_escaped(struct answer *a, const char *value)
{
	for (; *value; value++)
		say(a, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
}

void answer_str(struct answer *a, const char *key, const char *value)
{
	put_key(a, key);
	if (a->json) {
		say(a, "\"");
		put_escaped(a, value);
		say(a, "\"");
	} else {
		say(a, "%s", value);
	}
	end_value(a);
}

void answer_open(struct answer *a, const char *key)
{
	if (a->json)
		say(a, "%s\"%s\":{", a->comma ? "," : "", key);
	else
		say(a, "%s:", key);
	a->comma = false;
	a->inside = true;
}

void answer_close(struct answer *a)
{
	a->inside = false;
	a->comma = true;
	say(a, a->json ? "}" : "\n");
}

void answer_end(struct answer *a, const char *error)
{
	if (a->cut) { /* half of an answer is none */
		error = "the answer does not fit";
		answer_begin(a, a->json);
	}
	if (!a->json && error)
		say_last(a, "error: %s\n", error);
	else if (!a->json)
		say_last(a, "ok\n");
	else if (!error)
		say_last(a, "},\"ok\":true}\n");
	if (!a->json || !error)
		return;
	say_last(a, "},\"ok\":false,\"error\":\"");
	for (; *error; error++)
		say_last(a, *error == '"' || *error == '\\' ? "\\%c" : "%c", *error);
	say_last(a, "\"}\n");
}
