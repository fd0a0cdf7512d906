/* SPDX-License-Identifier: MIT */
/* Where a vCPU on VMX stands between two instructions: events on their way to it, and instructions
 * that were completed for it. */
#include "hv/cpu/vmx/vmx.h"

#include "hv/cpu/debug.h"
#include "mm/x86.h"

/* The delivery of a #DB clears DR7.GD, so that its handler may use the debug registers; VM entry
 * does not (SDM vol. 3C, "Event Injection"; vol. 3B, "Debug Control Register (DR7)"). The same
 * holds for LBR and BTF of IA32_DEBUGCTL, but no guest can set them: the MSR exits. */
static void enter_debug_handler(void)
{
	uint64_t dr7 = vmread(VMCS_GUEST_DR7);

	if (dr7 & DR7_GD)
		vmwrite(VMCS_GUEST_DR7, dr7 & ~(uint64_t)DR7_GD);
}

/* What STI and MOV SS block ends with the next instruction, or with an event (SDM vol. 3C, "Checks
 * on Guest Non-Register State": it must not be left there beside RFLAGS.TF, unless a step is
 * pending). */
static void unblock(void)
{
	uint64_t blocked = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	if (blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			blocked & ~(uint64_t)(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
}

void vmx_inject(struct vcpu *vcpu, unsigned int vector, int64_t error)
{
	uint32_t info = INTR_VALID | INTR_TYPE_HW << 8 | vector;

	(void)vcpu;
	unblock();
	if (vector == EXCEPTION_DB)
		enter_debug_handler();
	if (error >= 0) {
		info |= INTR_HAS_ERROR;
		vmwrite(VMCS_INJECT_ERROR, (uint64_t)error);
	}
	vmwrite(VMCS_INJECT_INFO, info);
}

bool vmx_was_delivering(const struct vcpu *vcpu)
{
	(void)vcpu;
	return vmread(VMCS_IDTV_INFO) & INTR_VALID;
}

/* --- interrupts (SDM vol. 3C, "Checks on Guest Non-Register State", "VM-Entry Controls for Event
 *     Injection") -------------------------------------------------------------------------- */

static bool event_waits(void)
{
	return vmread(VMCS_INJECT_INFO) & INTR_VALID;
}

bool vmx_interrupts_on(const struct vcpu *vcpu)
{
	(void)vcpu;
	return vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF;
}

bool vmx_open(const struct vcpu *vcpu)
{
	return vmx_interrupts_on(vcpu) &&
	       !(vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) &&
	       !event_waits();
}

void vmx_interrupt(struct vcpu *vcpu, unsigned int vector)
{
	(void)vcpu;
	vmwrite(VMCS_INJECT_INFO, INTR_VALID | INTR_TYPE_EXT << 8 | vector);
}

bool vmx_window(struct vcpu *vcpu, bool on)
{
	if (on != vcpu->hw_window) {
		vcpu->hw_window = on;
		vmx_write_cpu(vcpu);
	}
	return true;
}

bool vmx_nmi_open(const struct vcpu *vcpu)
{
	(void)vcpu;
	return !(vmread(VMCS_GUEST_INTERRUPTIBILITY) &
		 (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI)) &&
	       !event_waits();
}

/* Its delivery blocks further ones until IRET. */
void vmx_nmi(struct vcpu *vcpu)
{
	(void)vcpu;
	vmwrite(VMCS_INJECT_INFO, INTR_VALID | INTR_TYPE_NMI << 8 | VECTOR_NMI);
}

/*
 * The exit interrupted the delivery of an event: deliver it again at the next entry. Type and
 * vector have the same format in both fields; bit 12 is undefined in the one and reserved in the
 * other (SDM vol. 3C, "Information for VM Exits That Occur During Event Delivery").
 */
void vmx_keep_event(uint32_t idtv)
{
	uint32_t type = INTR_TYPE(idtv);

	vmwrite(VMCS_INJECT_INFO, idtv & ~(1u << 12));
	if (idtv & INTR_HAS_ERROR)
		vmwrite(VMCS_INJECT_ERROR, vmread(VMCS_IDTV_ERROR));
	if (type >= INTR_TYPE_SW_INT && type <= INTR_TYPE_SW_EXC)
		vmwrite(VMCS_INJECT_LENGTH, vmread(VMCS_LENGTH));
	if (type == INTR_TYPE_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)BLOCKED_BY_NMI);
}

uint64_t vmx_rip(const struct vcpu *vcpu)
{
	(void)vcpu;
	return vmread(VMCS_GUEST_RIP);
}

bool vmx_in_kernel(const struct vcpu *vcpu)
{
	return vcpu->state.efer & EFER_LMA && vmread(VMCS_GUEST_ES_ATTR + 2 * SEG_CS) & ATTR_LONG &&
	       !(vmread(VMCS_GUEST_ES_ATTR + 2 * SEG_SS) & ATTR_DPL);
}

/* Of the debug exceptions that are pending, those that the instruction brings. */
static uint64_t steps_and_breakpoints(const struct vcpu *vcpu, const struct vcpu_exit *exit,
				      uint64_t rflags)
{
	uint64_t pending = rflags & RFLAGS_TF ? PENDING_STEP : 0;
	uint64_t hits = !vcpu->debug || exit->code != VMX_IO
				? 0
				: debug_io_hits(vmread(VMCS_GUEST_DR7), vmread(VMCS_GUEST_CR4),
						exit->port, exit->size);

	return pending | hits | (hits ? PENDING_BREAKPOINT : 0);
}

/*
 * A single step or an I/O breakpoint is left pending, as the CPU leaves it where an instruction
 * that it completed is followed by an exit. It joins data breakpoints that MOV SS had put off (SDM
 * vol. 3C, "Guest Non-Register State", "Delivery of Pending Debug Exceptions after VM Entry").
 */
void vmx_skip(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	uint64_t rflags = vmread(VMCS_GUEST_RFLAGS), pending;

	vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + exit->length);
	if (rflags & RFLAGS_RF)
		vmwrite(VMCS_GUEST_RFLAGS, rflags & ~(uint64_t)RFLAGS_RF);
	pending = steps_and_breakpoints(vcpu, exit, rflags);
	if (pending)
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | pending);
	unblock();
}

/* DR6's new bits come as a qualification (SDM vol. 3C, "Exit Qualification for Debug Exceptions").
 */
static void note_debug_status(struct vcpu *vcpu)
{
	if (!vcpu->debug)
		vmx_debug(vcpu, true);
	x86_write_dr6(x86_read_dr6() | (vmread(VMCS_QUALIFICATION) & 0x600f));
}

/* INT1 is delivered with the RIP behind it: the length tells how far that is. */
static void inject_int1(unsigned int length)
{
	unblock();
	vmwrite(VMCS_INJECT_LENGTH, length);
	vmwrite(VMCS_INJECT_INFO, INTR_VALID | INTR_TYPE_INT1 << 8 | EXCEPTION_DB);
}

void vmx_pass_on(struct vcpu *vcpu, uint32_t info, unsigned int length)
{
	uint32_t vector = info & 0xff;

	if (INTR_TYPE(info) == INTR_TYPE_INT1) {
		inject_int1(length);
		return;
	}
	if (vector == EXCEPTION_DB)
		note_debug_status(vcpu);
	vmx_inject(vcpu, vector,
		   info & INTR_HAS_ERROR ? (int64_t)vmread(VMCS_INTR_ERROR) : INJECT_NO_ERROR);
}
