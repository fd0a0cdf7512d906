/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. Each tests/fuzz/fuzz_NAME.c is one program: libFuzzer's main around
 * LLVMFuzzerTestOneInput(). Every string of bytes is an input that means something: a target never
 * turns one down, it clamps.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of the input. */
struct fuzz_input {
	const uint8_t *p;
	size_t n;
};

/* The next n bytes as a number, little endian; where the input has ended, zeros. n: at most 8. */
static inline uint64_t fuzz_take(struct fuzz_input *in, size_t n)
{
	size_t have = MIN(n, in->n);
	uint64_t v = 0;

	memcpy(&v, in->p, have);
	in->p += have;
	in->n -= have;
	return v;
}

/* Something is not as it must be: says what, and ends the program as a crash. */
__attribute__((format(printf, 1, 2))) _Noreturn static inline void fuzz_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("fuzz: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}

#define fuzz_check(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fuzz_fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition);            \
	} while (0)

#endif
