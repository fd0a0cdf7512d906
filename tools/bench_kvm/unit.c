/* SPDX-License-Identifier: MIT */
/*
 * Proves the unit: runs a loop whose number of instructions is known, and prints that number and
 * the nanoseconds that the machine's clock says it took. Where a nanosecond is an instruction the
 * two agree, but for the timer's interrupts.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS    50000000u
#define PER_ROUND 2u

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(void)
{
	uint32_t rounds = ROUNDS;
	int64_t start = now();

	__asm__ volatile("1:	dec	%0\n"
			 "	jnz	1b\n"
			 : "+r"(rounds)
			 :
			 : "cc");
	printf("%u %lld\n", ROUNDS * PER_ROUND, (long long)(now() - start));
	return 0;
}
