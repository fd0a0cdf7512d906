/* SPDX-License-Identifier: MIT */
/* Saying no: one line with the reason, then the end. */
#include "boot/base/refuse.h"

#include "boot/base/efi.h"
#include "hv/base/console.h"
#include "hv/base/ending.h"

#define LINE_MAX 512

static enum config_exit ending_way;

void refuse_by(enum config_exit way)
{
	ending_way = way;
	ending_init(way);
}

/* The firmware's console takes 16-bit characters and wants both ends of a line. */
static void show(const char *line)
{
	static CHAR16 wide[LINE_MAX + 3];
	unsigned int n = 0;

	while (line[n]) {
		wide[n] = (CHAR16)line[n];
		n++;
	}
	wide[n] = '\r';
	wide[n + 1] = '\n';
	wide[n + 2] = 0;
	firmware.st->ConOut->OutputString(firmware.st->ConOut, wide);
}

void refuse(const char *fmt, ...)
{
	static char line[LINE_MAX];
	int n = fmt_print(line, LINE_MAX, "cleave: ");
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(line + n, LINE_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	if (firmware.bs && ending_way == EXIT_HALT) {
		show(line);
		firmware.bs->Exit(firmware.image, EFI_ABORTED, 0, NULL);
	}
	console_init();
	con_printf("%s\n", line);
	ending(false);
}
