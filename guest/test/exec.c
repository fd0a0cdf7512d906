/* SPDX-License-Identifier: MIT */
/* Payload of the in-machine tests: executes a return in each page of its memory, pass after pass.
 * One vCPU. */
#include "guest/lib/guest.h"
#include "guest/lib/window.h"

#define OP_RET 0xc3

static void execute(struct vcpu *me, uint64_t gpa)
{
	uint8_t *code = window_at(gpa);
	void (*function)(void) = (void (*)(void))(uintptr_t)code;

	if (*code != OP_RET)
		*code = OP_RET;
	function();
	me->steps++;
}

_Noreturn void payload_main(struct vcpu *me)
{
	uint64_t n = 0;

	hypercall(ABI_READY, 0, 0, 0);
	do {
		for (uint64_t k = 0; k < me->pages; k++)
			execute(me, share_gpa(me, k));
	} while (hypercall(ABI_PASS, n++, 0, 0) == ABI_GO_ON);
	guest_done(me, ABI_OK, me->pages);
}
