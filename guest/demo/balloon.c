/* SPDX-License-Identifier: MIT */
/*
 * Payload: gives pages up. In each pass a pseudo-random quarter of the pages is discarded, must
 * then read as zeros, word by word, and is written with a new version; all others are verified. So
 * a page that was given up before it had arrived must never come, neither before it is touched
 * again nor after.
 */
#include "guest/lib/guest.h"

#define TURNS 4 /* each page has its turn once in so many passes */

static bool balloon_turn(const struct vcpu *me, uint64_t k, uint64_t pass)
{
	return mix_below(mix64(me->seed ^ share_gpa(me, k)), TURNS) == pass % TURNS;
}

/* Passes in which the page had its turn, of so many. */
static uint64_t balloon_turns(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	uint64_t first = mix_below(mix64(me->seed ^ share_gpa(me, k)), TURNS);

	return passes > first ? (passes - first - 1) / TURNS + 1 : 0;
}

static struct pattern balloon_pattern(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	return pattern_of(share_gpa(me, k), me->seed, VERSION_FIRST + balloon_turns(me, k, passes));
}

/* All its words are zero: the pattern of base and step 0. */
static uint64_t balloon_discard(struct vcpu *me, uint64_t gpa, uint64_t chain)
{
	static const struct pattern zeros = { 0, 0 };

	if (hypercall(ABI_DISCARD, gpa, PAGE_BYTES, 0) != 0)
		report_wrong(me, gpa, zeros);
	return page_check(me, gpa, zeros, chain);
}

static uint64_t balloon_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	for (uint64_t k = 0; k < me->pages; k++) {
		uint64_t gpa = share_gpa(me, k);

		if (balloon_turn(me, k, n)) {
			chain = balloon_discard(me, gpa, chain);
			page_fill(page_at(gpa), balloon_pattern(me, k, n + 1));
		} else {
			chain = page_check(me, gpa, balloon_pattern(me, k, n), chain);
		}
	}
	return chain;
}

static uint64_t balloon_written(const struct vcpu *me, uint64_t passes)
{
	uint64_t written = 0;

	for (uint64_t k = 0; k < me->pages; k++)
		written += balloon_turns(me, k, passes) > 0;
	return written;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload balloon = {
		.pattern = balloon_pattern,
		.pass = balloon_pass,
		.written = balloon_written,
	};

	payload_run(me, &balloon);
}
