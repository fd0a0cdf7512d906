/* SPDX-License-Identifier: MIT */
/* Whole pages: filling them, reading them, finding what is wrong. Pure. */
#include "guest/lib/pattern.h"

#define UNROLL 16

void page_fill(uint64_t *page, struct pattern p)
{
	uint64_t word = p.base;

	for (unsigned int n = PAGE_WORDS / UNROLL; n; n--, page += UNROLL) {
#pragma GCC unroll 16
		for (unsigned int i = 0; i < UNROLL; i++) {
			page[i] = word;
			word += p.step;
		}
	}
}

struct sums page_sums(const uint64_t *page)
{
	struct sums s = { 0, 0 };

	for (unsigned int n = PAGE_WORDS / UNROLL; n; n--, page += UNROLL) {
#pragma GCC unroll 16
		for (unsigned int i = 0; i < UNROLL; i++) {
			s = sums_add(s, page[i]);
			/* Keeps gcc from loading all words first, which spills registers. */
			asm("" : "+r"(s.a), "+r"(s.b));
		}
	}
	return s;
}

unsigned int page_mismatch(const uint64_t *page, struct pattern p)
{
	unsigned int i = 0;

	while (i < PAGE_WORDS && page[i] == pattern_word(p, i))
		i++;
	return i;
}
