/* SPDX-License-Identifier: MIT */
/*
 * What a page contains: a function of its address, the seed and a version. Pure; the host's tests
 * compile the same file.
 *
 * Word i of a page is base + i * step. The base is a bijection of (address, version) for each
 * seed and the step is odd, so in word 0 no two pages and no two versions agree, the words of one
 * page all differ, and every other word of two pages agrees by a chance of 2^-64 only.
 *
 * A page is read once and summed up in two sums, as Fletcher's checksum does: a = sum of the
 * words, b = sum of a after each word. That is two instructions a word, where comparing each
 * needs three. What they must be is known in closed form. One wrong word always changes a; two
 * exchanged words change b; a page that is torn, stale, shifted or another one changes both, but
 * for a chance of about 2^-64.
 */
#ifndef GUEST_PATTERN_H
#define GUEST_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/mix.h"

#define PAGE_BYTES 4096
#define PAGE_WORDS 512

#define VERSION_FIRST 1 /* what a page is prepared with; fits in 24 bits, as all versions */

#define PEEK_WORDS 4 /* that one peek reads, so far apart: */
#define PEEK_APART (PAGE_WORDS / PEEK_WORDS)

struct pattern {
	uint64_t base;
	uint64_t step;
};

struct sums {
	uint64_t a;
	uint64_t b;
};

/* @gpa: 4 KiB aligned, below 1 TiB */
static inline struct pattern pattern_of(uint64_t gpa, uint64_t seed, uint64_t version)
{
	uint64_t base = mix64(seed ^ gpa ^ version << 40);

	return (struct pattern){ base, mix64(base + seed) | 1 };
}

static inline uint64_t pattern_word(struct pattern p, unsigned int i)
{
	return p.base + i * p.step;
}

static inline struct sums sums_add(struct sums s, uint64_t word)
{
	s.a += word;
	s.b += s.a;
	return s;
}

static inline bool sums_equal(struct sums x, struct sums y)
{
	return x.a == y.a && x.b == y.b;
}

/* One word that stands for both, for the hash chain. */
static inline uint64_t sums_fold(struct sums s)
{
	return s.a ^ rotl64(s.b, 29);
}

/* The sums of `n` words first, first + step, ...: the arithmetic series, and the sum of it. */
static inline struct sums sums_of_series(uint64_t first, uint64_t step, uint64_t n)
{
	return (struct sums){ n * first + n * (n - 1) / 2 * step,
			      n * (n + 1) / 2 * first + (n * n * n - n) / 6 * step };
}

/* The sums of a whole page as it should be. */
static inline struct sums pattern_sums(struct pattern p)
{
	return sums_of_series(p.base, p.step, PAGE_WORDS);
}

/* Which words a touch looks at: the first of them. Others in each turn, all of them after
 * PEEK_APART turns; pages of one turn differ, too. */
static inline unsigned int peek_first(uint64_t gpa, uint64_t turn)
{
	return (gpa / PAGE_BYTES * 5 + turn * 37) % PEEK_APART;
}

/* The sums of PEEK_WORDS words from `first` on: as they are, and as they should be. */
static inline struct sums page_peek(const uint64_t *page, unsigned int first)
{
	struct sums s = { 0, 0 };

#pragma GCC unroll 4
	for (unsigned int i = 0; i < PEEK_WORDS; i++)
		s = sums_add(s, page[first + i * PEEK_APART]);
	return s;
}

static inline struct sums pattern_peek(struct pattern p, unsigned int first)
{
	return sums_of_series(pattern_word(p, first), PEEK_APART * p.step, PEEK_WORDS);
}

/* Writes a whole page. */
void page_fill(uint64_t *page, struct pattern p);

/* Reads a whole page: the sums of what is there. */
struct sums page_sums(const uint64_t *page);

/* The first word that differs, or PAGE_WORDS. Slow: for reports. */
unsigned int page_mismatch(const uint64_t *page, struct pattern p);

#endif
