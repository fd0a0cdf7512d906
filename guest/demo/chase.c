/* SPDX-License-Identifier: MIT */
/*
 * Payload: follows pointers. Each page carries the address of the next one, added to every word of
 * it, so that it knows the next page only once this one is there. It also computes where each
 * pointer should lead: it reports a wrong one before it follows it.
 */
#include "guest/lib/guest.h"
#include "guest/lib/order.h"

/* One round trip over the share, the same in every pass. */
static struct order chase_order(const struct vcpu *me)
{
	return order_of(me->pages, me->seed ^ me->index);
}

static struct pattern chase_page(const struct vcpu *me, uint64_t gpa, uint64_t next)
{
	struct pattern p = pattern_of(gpa, me->seed, VERSION_FIRST);

	p.base += next;
	return p;
}

static struct pattern chase_pattern(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	struct order order = chase_order(me);

	(void)passes;
	return chase_page(me, share_gpa(me, k), share_gpa(me, order_next(&order, k)));
}

static uint64_t chase_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	struct order order = chase_order(me);
	uint64_t gpa = share_gpa(me, 0);
	uint64_t k = 0;

	for (uint64_t i = 0; i < me->pages; i++) {
		uint64_t pointer = *page_at(gpa) - chase_page(me, gpa, 0).base;
		uint64_t next = share_gpa(me, k = order_next(&order, k));

		uint64_t seen = pointer;

		asm("" : "+r"(seen)); /* or the compiler follows what it knows to be equal */
		if (seen == next) {
			chain = page_touch(me, gpa, chase_page(me, gpa, next), n, chain);
		} else {
			report_wrong(me, gpa, chase_page(me, gpa, next));
			pointer = next;
		}
		gpa = pointer;
	}
	return chain;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload chase = { .pattern = chase_pattern, .pass = chase_pass };

	payload_run(me, &chase);
}
