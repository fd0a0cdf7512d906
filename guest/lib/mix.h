/* SPDX-License-Identifier: MIT */
/* Mixing 64 bits: the ground that page contents, orders and the hash chain are built on. Pure. */
#ifndef GUEST_MIX_H
#define GUEST_MIX_H

#include <stdint.h>

static inline uint64_t rotl64(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

/* A bijection: different arguments have different results. Constants: Stafford's variant 13 of the
 * 64-bit finalizer, as SplitMix64 uses it. */
static inline uint64_t mix64(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A number below `bound`, from an evenly distributed x. */
static inline uint32_t mix_below(uint64_t x, uint32_t bound)
{
	return (x >> 32) * bound >> 32;
}

#endif
