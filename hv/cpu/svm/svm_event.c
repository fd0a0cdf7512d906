/* SPDX-License-Identifier: MIT */
/* Where a vCPU on SVM stands between two instructions: events on their way to it, and instructions
 * that were completed for it. */
#include "hv/cpu/svm/svm.h"

#include "hv/cpu/debug.h"
#include "mm/machine.h"
#include "mm/x86.h"

/* The delivery of a #DB clears DR7.GD, so that its handler may use the debug registers; EVENTINJ
 * does not. */
void svm_inject(struct vcpu *vcpu, unsigned int vector, int64_t error)
{
	struct vmcb *b = direct(vcpu->hw_page);
	uint64_t event = EVENT_VALID | EVENT_EXCEPTION << 8 | vector;

	if (vector == EXCEPTION_DB)
		b->dr7 &= ~(uint64_t)DR7_GD;
	if (error >= 0)
		event |= EVENT_HAS_ERROR | (uint64_t)error << 32;
	b->event_inject = event;
}

bool svm_was_delivering(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->exit_int_info & EVENT_VALID;
}

/*
 * The exit interrupted the delivery of an event: deliver it again. A software interrupt is not:
 * RIP still points at its instruction, which is executed again (APM vol. 2, "Event Injection").
 */
void svm_keep_event(struct vmcb *b)
{
	if (EVENT_TYPE((uint32_t)b->exit_int_info) != EVENT_SOFTWARE)
		b->event_inject = b->exit_int_info;
}

uint64_t svm_rip(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->rip;
}

bool svm_in_kernel(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->efer & EFER_LMA && b->cs.attributes & VMCB_ATTR_LONG && !b->cpl;
}

void svm_step_over(struct vmcb *b, unsigned int length)
{
	b->rip += length;
	b->rflags &= ~(uint64_t)RFLAGS_RF;
	b->interrupt_shadow = 0;
}

void svm_skip(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct vmcb *b = direct(vcpu->hw_page);
	uint64_t due = 0;

	svm_step_over(b, exit->length);
	if (b->rflags & RFLAGS_TF)
		due = DR6_BS;
	if (b->exit_code == SVM_IO)
		due |= debug_io_hits(b->dr7, b->cr4, exit->port, exit->size);
	if (!due)
		return;
	b->dr6 |= due;
	svm_inject(vcpu, EXCEPTION_DB, INJECT_NO_ERROR);
}

bool svm_met_itself(const struct vmcb *b, uint32_t vector)
{
	uint32_t event = (uint32_t)b->exit_int_info;

	return event & EVENT_VALID && EVENT_TYPE(event) == EVENT_EXCEPTION &&
	       (event & 0xff) == vector;
}
