/* SPDX-License-Identifier: MIT */
/* Printing: text and numbers into a line, the line to the hypervisor. */
#include "guest/lib/line.h"
#include "guest/lib/hypercall.h"

static void line_char(struct line *line, char c)
{
	if (line->n < ABI_PUTS_MAX)
		line->text[line->n++] = c;
}

void line_text(struct line *line, const char *text)
{
	while (*text)
		line_char(line, *text++);
}

static void line_number(struct line *line, uint64_t value, unsigned int base)
{
	char digits[20];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		line_char(line, digits[--n]);
}

void line_hex(struct line *line, uint64_t value)
{
	line_text(line, "0x");
	line_number(line, value, 16);
}

void line_dec(struct line *line, uint64_t value)
{
	line_number(line, value, 10);
}

void line_print(struct line *line)
{
	hypercall(ABI_PUTS, (uintptr_t)line->text, line->n, 0);
}

void print_text(const char *text)
{
	struct line line;

	line_begin(&line);
	line_text(&line, text);
	line_print(&line);
}
