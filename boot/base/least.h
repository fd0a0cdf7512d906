/* SPDX-License-Identifier: MIT */
/*
 * The least of several waits. A wait may take longer than was asked for, where the host has other
 * work, and never shorter; how much longer is a matter of chance. So what several tries agree on,
 * with none below, was not disturbed.
 */
#ifndef BOOT_BASE_LEAST_H
#define BOOT_BASE_LEAST_H

#include "mm/types.h"

#define LEAST_MET   3  /* tries that must agree to a microsecond */
#define LEAST_TRIES 50 /* after that the least is taken, whatever it is */

struct least {
	unsigned int us;    /* that each try asks for */
	unsigned int tries; /* so far */
	unsigned int met;   /* of them took the least, to a microsecond */
	uint64_t cycles;    /* the least */
};

static inline struct least least_of(unsigned int us)
{
	return (struct least){ .us = us, .cycles = UINT64_MAX };
}

/* Notes what one more try took. Return: are more needed? */
bool least_note(struct least *l, uint64_t cycles);

#endif
