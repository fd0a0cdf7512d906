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

/* --- interrupts (APM vol. 2, "Interrupt and #SMI/NMI/INIT Virtualization", "Virtual Interrupts")
 */

static bool event_waits(const struct vmcb *b)
{
	return b->event_inject & EVENT_VALID;
}

bool svm_interrupts_on(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->rflags & RFLAGS_IF;
}

bool svm_open(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->rflags & RFLAGS_IF && !(b->interrupt_shadow & 1) && !event_waits(b);
}

void svm_interrupt(struct vcpu *vcpu, unsigned int vector)
{
	struct vmcb *b = direct(vcpu->hw_page);

	b->event_inject = EVENT_VALID | EVENT_INTR << 8 | vector;
}

/*
 * The CPU is told of a virtual interrupt, which exits instead of being delivered: so the one that
 * is then due is chosen at that moment.
 *
 * Not in QEMU's software CPU: its VMRUN notes a virtual interrupt without the lock under which
 * other threads note the host's, so one of those may be lost, and a CPU whose timer is lost never
 * exits.
 */
bool svm_window(struct vcpu *vcpu, bool on)
{
	struct vmcb *b = direct(vcpu->hw_page);

	if (svm.loses_interrupts)
		return false;
	if (on) {
		b->v_intr |= V_IRQ | V_IGN_TPR;
		b->intercept3 |= I3_VINTR;
	} else {
		b->v_intr &= ~(uint64_t)(V_IRQ | V_IGN_TPR);
		b->intercept3 &= ~I3_VINTR;
	}
	return true;
}

bool svm_nmi_open(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return !vcpu->state.nmi_masked && !(b->interrupt_shadow & 1) && !event_waits(b);
}

/* The CPU does not tell whether the handler has returned: its IRET exits. */
void svm_nmi(struct vcpu *vcpu)
{
	struct vmcb *b = direct(vcpu->hw_page);

	b->event_inject = EVENT_VALID | EVENT_NMI << 8 | VECTOR_NMI;
	b->intercept3 |= I3_IRET;
	vcpu->state.nmi_masked = 1;
}

/* Before the IRET is executed, so the next NMI may come one instruction early, on the same stack.
 */
void svm_nmi_over(struct vcpu *vcpu)
{
	struct vmcb *b = direct(vcpu->hw_page);

	b->intercept3 &= ~I3_IRET;
	vcpu->state.nmi_masked = 0;
}

unsigned int svm_cr8(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->v_intr & V_TPR;
}

void svm_set_cr8(struct vcpu *vcpu, unsigned int value)
{
	struct vmcb *b = direct(vcpu->hw_page);

	b->v_intr = (b->v_intr & ~(uint64_t)V_TPR) | value;
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
	if (vcpu->debug && b->exit_code == SVM_IO)
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
