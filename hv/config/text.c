/* SPDX-License-Identifier: MIT */
/* Taking pieces of text apart, and putting messages together, without a C library. */
#include "hv/config/text.h"

#include "mm/err.h"

#define EXCERPT_MAX 48 /* bytes of somebody's text in a message */

bool span_is(struct span s, const char *text)
{
	size_t i = 0;

	while (i < s.n && text[i] && text[i] == s.p[i])
		i++;
	return i == s.n && !text[i];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct span span_cut(struct span *s, char c)
{
	struct span head = { s->p, 0 };
	size_t skip;

	while (head.n < s->n && s->p[head.n] != c)
		head.n++;
	skip = head.n < s->n ? head.n + 1 : head.n;
	s->p += skip;
	s->n -= skip;
	return head;
}

struct span span_cut_word(struct span *s)
{
	struct span word = { s->p, 0 };

	while (word.n < s->n && !is_blank(word.p[word.n]))
		word.n++;
	s->p += word.n;
	s->n -= word.n;
	return word;
}

struct span span_skip_bom(struct span s)
{
	struct span bom = { s.p, 3 };

	return s.n >= 3 && span_is(bom, "\xef\xbb\xbf") ? (struct span){ s.p + 3, s.n - 3 } : s;
}

bool span_has(struct span s, char c)
{
	struct span rest = s;

	return span_cut(&rest, c).n < s.n;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == '+' || c == '/';
}

bool span_is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_name_char(s.p[i]))
			return false;
	}
	return s.n > 0 && s.n < CONFIG_NAME_MAX;
}

void span_copy_name(struct span s, char name[CONFIG_NAME_MAX])
{
	for (size_t i = 0; i < s.n; i++)
		name[i] = s.p[i];
	name[s.n] = 0;
}

static void put_char(char text[CONFIG_TEXT_MAX], char c)
{
	size_t n = 0;

	while (text[n])
		n++;
	if (n + 1 < CONFIG_TEXT_MAX) {
		text[n] = c;
		text[n + 1] = 0;
	}
}

void config_put(char text[CONFIG_TEXT_MAX], const char *more)
{
	while (*more)
		put_char(text, *more++);
}

void config_put_span(char text[CONFIG_TEXT_MAX], struct span s)
{
	for (size_t i = 0; i < s.n && i < EXCERPT_MAX; i++)
		put_char(text, s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?');
	if (s.n > EXCERPT_MAX)
		config_put(text, "...");
}

void config_put_number(char text[CONFIG_TEXT_MAX], uint64_t v)
{
	uint64_t unit = 1;

	while (v / unit >= 10)
		unit *= 10;
	for (; unit > 0; unit /= 10)
		put_char(text, (char)('0' + v / unit % 10));
}

void config_put_size(char text[CONFIG_TEXT_MAX], uint64_t bytes)
{
	static const char *const suffix[] = { "", "K", "M", "G" };
	unsigned int i = 0;

	while (bytes > 0 && bytes % KIB == 0 && i + 1 < ARRAY_LEN(suffix)) {
		bytes /= KIB;
		i++;
	}
	config_put_number(text, bytes);
	config_put(text, suffix[i]);
}

int config_refuse(struct config_error *error, unsigned int line)
{
	error->line = line == CONFIG_OPTIONS ? 0 : line;
	error->text[0] = 0;
	if (line == CONFIG_OPTIONS) {
		config_put(error->text, "load options: ");
	} else if (line != CONFIG_NO_LINE) {
		config_put(error->text, "line ");
		config_put_number(error->text, line);
		config_put(error->text, ": ");
	}
	return -EINVAL;
}
