/* SPDX-License-Identifier: MIT */
/* Payload: reads its pages in the order of their addresses. */
#include "guest/lib/guest.h"

static uint64_t seq_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	for (uint64_t k = 0; k < me->pages; k++)
		chain = page_touch(me, share_gpa(me, k), pattern_plain(me, k, 0), n, chain);
	return chain;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload seq = { .pattern = pattern_plain, .pass = seq_pass };

	payload_run(me, &seq);
}
