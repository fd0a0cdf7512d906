/* SPDX-License-Identifier: MIT */
/*
 * The running hash chain. Each step mixes in what was read; the link that it must lead to is
 * computed from what should have been read. Pure.
 */
#ifndef GUEST_CHAIN_H
#define GUEST_CHAIN_H

#include <stdint.h>

#include "guest/lib/mix.h"

static inline uint64_t chain_begin(uint64_t seed, uint64_t vcpu)
{
	return mix64(seed + vcpu);
}

/* A bijection of the chain for each word, and of the word for each chain: a link that went wrong
 * never comes right again by right words. */
static inline uint64_t chain_step(uint64_t chain, uint64_t word)
{
	return (rotl64(chain, 23) ^ word) * UINT64_C(0xd6e8feb86659fd93);
}

#endif
