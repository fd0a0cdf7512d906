/* SPDX-License-Identifier: MIT */
/* A random number from a seed: the same stream on every host. */
#ifndef TESTS_HOST_RANDOM_H
#define TESTS_HOST_RANDOM_H

#include <stdint.h>

/* 31 bits; advances *seed (Knuth's MMIX generator, whose high bits are the good ones). */
static inline uint32_t rnd(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

#endif
