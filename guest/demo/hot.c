/* SPDX-License-Identifier: MIT */
/*
 * Payload: reads one part of its memory over and over, and hardly the rest. The part is a quarter
 * of the pages, in the order of their addresses; the seed says which.
 */
#include "guest/lib/guest.h"
#include "guest/lib/mix.h"

#define RARE 64 /* passes over the hot part to one look at another page */

static uint64_t hot_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	uint64_t quarter = me->pages / 4, first = me->seed % 4 * quarter;

	for (uint64_t k = first; k < first + quarter; k++)
		chain = page_touch(me, share_gpa(me, k), pattern_plain(me, k, 0), n, chain);
	if (n % RARE == 0 && me->pages) {
		uint64_t k = mix_below(mix64(n), me->pages);

		chain = page_touch(me, share_gpa(me, k), pattern_plain(me, k, 0), n, chain);
	}
	return chain;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload hot = { .pattern = pattern_plain, .pass = hot_pass };

	payload_run(me, &hot);
}
