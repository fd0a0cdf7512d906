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
	line_dec(&line, (uint64_t)(me - vcpus)); /* it may not know yet */
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

/* Also before guest_start() has found out which instruction calls the hypervisor, and where it is
 * not there: an exception within the report stops the vCPU, or it would report itself for ever. */
static _Noreturn void trap_end(struct vcpu *me, const struct trap_frame *frame)
{
	static bool reporting[ABI_VCPUS_MAX]; /* each vCPU's own */
	bool *mine = &reporting[me - vcpus];

	if (*mine || !hypercall_init())
		cpu_stop();
	*mine = true;
	trap_report(me, frame);
	guest_done(me, ABI_WRONG_TRAP, 0);
}

void trap(struct trap_frame *frame)
{
	if (trap_hook[frame->vector] && trap_hook[frame->vector](frame))
		return;
	trap_end(vcpu_of_stack((uintptr_t)frame), frame);
}
