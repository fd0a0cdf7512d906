/* SPDX-License-Identifier: MIT */
/*
 * Payload for benchmarks: reads 8 bytes of each of its pages, once, in the order of their addresses
 * and tells the cycles. It prepares nothing and checks nothing: its pages are whatever they are.
 * With this seed each vCPU's pages are all pages, else only its share.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/line.h"

#define TOUCH_OVERLAP 77

/* Each page of the work area is its own. */
static void take_all(struct vcpu *me)
{
	uint64_t stride = me->apart / me->vcpus;

	me->first -= me->index * stride;
	me->apart = stride;
	me->pages = (param(ABI_P_WORK_BYTES) - PAGE_BYTES) / stride + 1;
}

static uint64_t touch_all(const struct vcpu *me)
{
	uint64_t end = share_gpa(me, me->pages);
	uint64_t begin = cpu_tsc();

	for (uint64_t gpa = me->first; gpa < end; gpa += me->apart)
		(void)*(const volatile uint64_t *)page_at(gpa);
	return cpu_tsc() - begin;
}

_Noreturn void payload_main(struct vcpu *me)
{
	struct line line;
	uint64_t cycles;

	if (me->seed == TOUCH_OVERLAP)
		take_all(me);
	hypercall(ABI_READY, 0, 0, 0);
	if (me->index == 0)
		hypercall(ABI_MIGRATE, 0, 0, 0);
	cycles = touch_all(me);
	me->steps = me->pages;
	line_begin(&line);
	line_text(&line, "touch: ");
	line_dec(&line, me->pages);
	line_text(&line, " pages ");
	line_dec(&line, cycles);
	line_text(&line, " cycles");
	line_print(&line);
	guest_done(me, ABI_OK, 0);
}
