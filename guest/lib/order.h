/* SPDX-License-Identifier: MIT */
/*
 * Pseudo-random orders: a permutation of 0 .. n-1 that is one single cycle, so that whoever
 * follows it from anywhere sees each number once, and needs no memory. Pure.
 *
 * A linear congruential generator modulo 2^bits has the full period where its increment is odd
 * and its multiplier is 1 modulo 4 (Hull and Dobell). Its low bits alone repeat early; folding
 * the high half of the bits into the low half before and after hides that and keeps the cycle.
 * Numbers from n on are stepped over: fewer than one a step on the average.
 */
#ifndef GUEST_ORDER_H
#define GUEST_ORDER_H

#include <stdint.h>

#include "guest/lib/mix.h"

struct order {
	uint64_t n;
	uint64_t mask;
	uint64_t multiplier;
	uint64_t increment;
	unsigned int half; /* bits of the low half, rounded up */
};

/* @n: at least 1, at most 2^62; each seed gives another order */
static inline struct order order_of(uint64_t n, uint64_t seed)
{
	unsigned int bits = n > 1 ? 64 - __builtin_clzll(n - 1) : 0; /* 2^bits >= n */

	return (struct order){
		.n = n,
		.mask = (UINT64_C(1) << bits) - 1,
		.multiplier = (mix64(seed) & ~UINT64_C(3)) | 1,
		.increment = mix64(~seed) | 1,
		.half = (bits + 1) / 2,
	};
}

/* Its own inverse, since `half` is at least half of the bits. */
static inline uint64_t order_folded(const struct order *o, uint64_t i)
{
	return i ^ i >> o->half;
}

/* The number that comes after i; i < n. */
static inline uint64_t order_next(const struct order *o, uint64_t i)
{
	do {
		i = order_folded(o, i) * o->multiplier + o->increment;
		i = order_folded(o, i & o->mask);
	} while (i >= o->n);
	return i;
}

#endif
