/* SPDX-License-Identifier: MIT */
/*
 * Proves the unit: runs a loop whose number of instructions is known, and prints that number and
 * the nanoseconds that the machine's clock and the thread's own say it took. Where a nanosecond is
 * an instruction they agree, but for the timer's interrupts.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS    50000000u
#define PER_ROUND 2u

static int64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(void)
{
	uint32_t rounds = ROUNDS;
	int64_t start = now(CLOCK_MONOTONIC), own = now(CLOCK_THREAD_CPUTIME_ID);

	__asm__ volatile("1:	dec	%0\n"
			 "	jnz	1b\n"
			 : "+r"(rounds)
			 :
			 : "cc");
	own = now(CLOCK_THREAD_CPUTIME_ID) - own;
	start = now(CLOCK_MONOTONIC) - start;
	printf("%u %lld %lld\n", ROUNDS * PER_ROUND, (long long)start, (long long)own);
	return 0;
}
