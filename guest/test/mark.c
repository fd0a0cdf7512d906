/* SPDX-License-Identifier: MIT */
/*
 * Payload of the in-machine tests: writes to pages of its share in a pseudo-random order, and keeps
 * a log of its own. The first word of a page counts the writes to it; so does the log, which the
 * hypervisor finds at the address that each ABI_PASS tells. The seed says how many of the pages are
 * written, in 1/256.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"

#define MARK_PAGES 2048
#define BURST      256 /* writes between two calls */

static struct {
	uint64_t longest; /* TSC cycles that one write took */
	uint64_t writes[MARK_PAGES];
} mark;

static void mark_page(struct vcpu *me, uint64_t k)
{
	volatile uint64_t *word = page_at(share_gpa(me, k));
	uint64_t page = k * me->vcpus + me->index;
	uint64_t took = cpu_tsc();

	++*word;
	took = cpu_tsc() - took;
	if (took > mark.longest) /* another vCPU may be faster: any long one will do */
		mark.longest = took;
	mark.writes[page]++;
	me->steps++;
}

_Noreturn void payload_main(struct vcpu *me)
{
	uint64_t pages = me->pages < MARK_PAGES / me->vcpus ? me->pages : MARK_PAGES / me->vcpus;
	uint64_t n = 0;

	pages = pages * me->seed / 256;
	hypercall(ABI_READY, 0, 0, 0);
	payload_meet(me);
	do {
		for (unsigned int i = 0; pages && i < BURST; i++)
			mark_page(me, mix_below(mix64(me->index + n * BURST + i), pages));
	} while (hypercall(ABI_PASS, n++, (uintptr_t)&mark, 0) == ABI_GO_ON);
	guest_done(me, ABI_OK, pages);
}
