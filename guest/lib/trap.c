/* SPDX-License-Identifier: MIT */
/* What happens on an exception: the hook's answer, or a report and the end of the run. */
#include "guest/lib/trap.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/line.h"

bool (*trap_hook[TRAP_VECTORS])(struct trap_frame *frame);

static void trap_report(const struct vcpu *me, const struct trap_frame *frame)
{
	struct line line;

	line_begin(&line);
	line_text(&line, "trap: vCPU ");
	line_dec(&line, me->index);
	line_text(&line, " vector ");
	line_dec(&line, frame->vector);
	line_text(&line, " error ");
	line_hex(&line, frame->error);
	line_text(&line, " rip ");
	line_hex(&line, frame->rip);
	line_text(&line, " cr2 ");
	line_hex(&line, cpu_fault_address());
	line_print(&line);
}

void trap(struct trap_frame *frame)
{
	struct vcpu *me = vcpu_of_stack((uintptr_t)frame);

	if (trap_hook[frame->vector] && trap_hook[frame->vector](frame))
		return;
	trap_report(me, frame);
	guest_done(me, ABI_WRONG_TRAP, 0);
}
