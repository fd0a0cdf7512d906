/* SPDX-License-Identifier: MIT */
/* One line of text for the hypervisor's console, put together piece by piece. */
#ifndef GUEST_LINE_H
#define GUEST_LINE_H

#include <stdint.h>

#include "hv/abi.h"

struct line {
	unsigned int n;
	char text[ABI_PUTS_MAX];
};

static inline void line_begin(struct line *line)
{
	line->n = 0;
}

/* What does not fit is left out. */
void line_text(struct line *line, const char *text);
void line_hex(struct line *line, uint64_t value);
void line_dec(struct line *line, uint64_t value);

/* Prints the line; one call is one line, without a line feed. */
void line_print(struct line *line);

/* A line that is one text. */
void print_text(const char *text);

#endif
