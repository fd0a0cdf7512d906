/* SPDX-License-Identifier: MIT */
/*
 * Payload: writes. Each pass gives a pseudo-random third of the pages a new version and verifies
 * the other two thirds, word by word. Half of the writes are blind, so that the first access to a
 * page that has not arrived may be a store; the other half verify first.
 *
 * There is no table of versions: in every three passes each page has its turn once, at a place
 * that is computed, so the version that must be there is known without asking the memory.
 */
#include "guest/lib/guest.h"

#define ROUND 3 /* passes in which each page is written once */

static uint64_t writer_draw(const struct vcpu *me, uint64_t k, uint64_t round)
{
	return mix64(me->seed ^ share_gpa(me, k) ^ round << 40);
}

/* The pass of a round in which page k is written. */
static uint64_t writer_turn(const struct vcpu *me, uint64_t k, uint64_t round)
{
	return round * ROUND + mix_below(writer_draw(me, k, round), ROUND);
}

static uint64_t writer_version(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	uint64_t round = passes / ROUND;
	uint64_t turn = writer_turn(me, k, round);

	if (turn >= passes) { /* not yet in this round */
		if (round == 0)
			return VERSION_FIRST;
		turn = writer_turn(me, k, round - 1);
	}
	return VERSION_FIRST + 1 + turn;
}

static struct pattern writer_pattern(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	return pattern_of(share_gpa(me, k), me->seed, writer_version(me, k, passes));
}

static uint64_t writer_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	for (uint64_t k = 0; k < me->pages; k++) {
		bool write = writer_turn(me, k, n / ROUND) == n;
		bool blind = write && (writer_draw(me, k, n / ROUND) & 1);

		if (!blind)
			chain = page_check(me, share_gpa(me, k), writer_pattern(me, k, n), chain);
		if (write)
			page_fill(page_at(share_gpa(me, k)), writer_pattern(me, k, n + 1));
	}
	return chain;
}

static uint64_t writer_written(const struct vcpu *me, uint64_t passes)
{
	uint64_t written = 0;

	for (uint64_t k = 0; k < me->pages; k++)
		written += writer_turn(me, k, 0) < passes;
	return written;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload writer = {
		.pattern = writer_pattern,
		.pass = writer_pass,
		.written = writer_written,
	};

	payload_run(me, &writer);
}
