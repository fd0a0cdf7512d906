/* SPDX-License-Identifier: MIT */
/*
 * Payload: gives up half of its pages for good, a few in each pass. They must read as zeros at the
 * end, wherever the VM is by then.
 */
#include "guest/lib/guest.h"

#define CHUNK 32

static uint64_t gone(const struct vcpu *me, uint64_t passes)
{
	return passes * CHUNK < me->pages / 2 ? passes * CHUNK : me->pages / 2;
}

static uint64_t leave_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	uint64_t at = gone(me, n), end = gone(me, n + 1);

	if (end > at && hypercall(ABI_DISCARD, share_gpa(me, at), (end - at) * PAGE_BYTES, 0) != 0)
		report_wrong(me, share_gpa(me, at), pattern_plain(me, at, 0));
	for (uint64_t k = me->pages - 40; k < me->pages; k++)
		chain = page_check(me, share_gpa(me, k), pattern_plain(me, k, n), chain);
	return chain;
}

static struct pattern leave_pattern(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	static const struct pattern zeros = { 0, 0 };

	return k < gone(me, passes) ? zeros : pattern_plain(me, k, passes);
}

static uint64_t leave_written(const struct vcpu *me, uint64_t passes)
{
	return gone(me, passes);
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload leave = {
		.pattern = leave_pattern,
		.pass = leave_pass,
		.written = leave_written,
	};

	payload_run(me, &leave);
}
