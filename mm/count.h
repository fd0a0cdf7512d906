/* SPDX-License-Identifier: MIT */
/* Counters that one CPU writes and all may read. */
#ifndef MM_COUNT_H
#define MM_COUNT_H

#include <stdatomic.h>

#include "mm/types.h"

/* Adds to a counter of this CPU's own. Nobody else writes it, so the instruction is not locked; it
 * is one, so that no reader sees half a number. */
static inline void count_own(_Atomic uint64_t *counter, uint64_t n)
{
	__asm__("addq %1, %0" : "+m"(*counter) : "er"(n) : "cc");
}

#endif
