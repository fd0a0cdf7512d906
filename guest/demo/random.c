/* SPDX-License-Identifier: MIT */
/* Payload: reads its pages in a pseudo-random order, another one in each pass. */
#include "guest/lib/guest.h"
#include "guest/lib/order.h"

static uint64_t random_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	struct order order = order_of(me->pages, me->seed + n);
	uint64_t k = 0;

	for (uint64_t i = 0; i < me->pages; i++) {
		k = order_next(&order, k);
		chain = page_touch(me, share_gpa(me, k), pattern_plain(me, k, 0), n, chain);
	}
	return chain;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload random = { .pattern = pattern_plain, .pass = random_pass };

	payload_run(me, &random);
}
