/* SPDX-License-Identifier: MIT */
/* The least of several waits: see boot/base/least.h. */
#include "boot/base/least.h"

/* A microsecond, as the shorter of two waits counts it. */
static bool agree(const struct least *l, uint64_t a, uint64_t b)
{
	uint64_t shorter = MIN(a, b), longer = MAX(a, b);

	return longer - shorter <= shorter / l->us;
}

bool least_note(struct least *l, uint64_t cycles)
{
	l->tries++;
	if (agree(l, cycles, l->cycles))
		l->met++;
	else if (cycles < l->cycles)
		l->met = 1;
	l->cycles = MIN(l->cycles, cycles);
	return l->met < LEAST_MET && l->tries < LEAST_TRIES;
}
