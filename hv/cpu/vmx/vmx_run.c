/* SPDX-License-Identifier: MIT */
/* Running a vCPU on VMX, and what its exits mean (SDM vol. 3C, "VM Exits"). */
#include "hv/cpu/vmx/vmx.h"

#include "hv/cpu/vcpu_loop.h"
#include "hv/abi.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/smp.h"
#include "mm/x86.h"

#define QUAL_NMI_UNBLOCKED (UINT64_C(1) << 12) /* by IRET */
#define REASON_FAILED      (1u << 31)

/* --- exits -------------------------------------------------------------------------------- */

/* An IRET that exited has unblocked NMIs already: block them again. */
static inline void block_nmi_again(uint64_t qualification, uint32_t idtv)
{
	if ((qualification & QUAL_NMI_UNBLOCKED) && !(idtv & INTR_VALID))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKED_BY_NMI);
}

static enum exit_reason stage2_exit(struct vcpu_exit *exit, uint32_t idtv)
{
	uint64_t q = vmread(VMCS_QUALIFICATION);

	block_nmi_again(q, idtv);
	exit->gpa = gpa(vmread(VMCS_GUEST_PHYS));
	exit->access = q & EPT_RWX;
	return EXIT_STAGE2;
}

static bool slice_over(const struct vcpu *vcpu)
{
	return vcpu->slice_end && clock_now() >= vcpu->slice_end;
}

/*
 * #DB and #AC are the guest's own, and take the place of an event whose delivery they interrupted:
 * it comes again by itself. While they go on meeting each other the guest executes nothing, so
 * neither its timer nor an interrupt makes it exit: it counts as kicked.
 */
static enum exit_reason exception_exit(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	uint32_t info = (uint32_t)vmread(VMCS_INTR_INFO);
	uint32_t idtv = (uint32_t)vmread(VMCS_IDTV_INFO);
	uint32_t vector = info & 0xff;

	if (INTR_TYPE(info) == INTR_TYPE_NMI) {
		(void)cpu_kicked(true); /* the exit has taken it */
		if (idtv & INTR_VALID)
			vmx_keep_event(idtv);
		return EXIT_KICK;
	}
	if (vector == EXCEPTION_MC)
		return EXIT_BROKEN;
	if (vcpu_is_storm(vcpu, idtv & INTR_VALID && (idtv & 0xff) == vector))
		return EXIT_STORM;
	vmx_pass_on(vcpu, info, exit->length);
	return slice_over(vcpu) ? EXIT_SLICE : EXIT_KICK;
}

/* Only the single step over the HLT itself wakes a payload. */
static enum exit_reason hlt_exit(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	if (!(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF))
		return EXIT_HLT;
	vmx_skip(vcpu, exit);
	return EXIT_RETRY;
}

static enum exit_reason io_exit(struct vcpu_exit *exit)
{
	enum {
		STRING = 1 << 4
	};
	uint64_t q = vmread(VMCS_QUALIFICATION);

	exit->port = (uint16_t)(q >> 16);
	exit->size = (uint8_t)((q & 7) + 1);
	exit->out = !(q & 8);
	/* No port takes strings. */
	return q & STRING ? EXIT_UD : EXIT_IO;
}

static enum exit_reason decode(struct vcpu *vcpu, uint32_t reason, struct vcpu_exit *exit)
{
	switch (reason & 0xffff) {
	case VMX_EXCEPTION:
		return exception_exit(vcpu, exit);
	case VMX_EXTINT:
		return EXIT_KICK;
	case VMX_PREEMPT:
		return EXIT_SLICE;
	case VMX_PML_FULL:
		block_nmi_again(vmread(VMCS_QUALIFICATION), (uint32_t)vmread(VMCS_IDTV_INFO));
		return EXIT_LOG;
	case VMX_TRIPLE:
		return EXIT_TRIPLE;
	case VMX_CPUID:
		return EXIT_CPUID;
	case VMX_WINDOW:
		return EXIT_WINDOW;
	case VMX_XSETBV:
		return EXIT_XSETBV;
	case VMX_HLT:
		return hlt_exit(vcpu, exit);
	case VMX_VMCALL:
		return EXIT_CALL;
	case VMX_CR:
		if (!vmx_cr_access(vcpu))
			return EXIT_GP;
		vmx_skip(vcpu, exit);
		return EXIT_RETRY;
	case VMX_DR: /* executed again */
		vmx_debug(vcpu, true);
		return EXIT_RETRY;
	case VMX_IO:
		return io_exit(exit);
	case VMX_RDMSR:
		return EXIT_RDMSR;
	case VMX_WRMSR:
		return EXIT_WRMSR;
	case VMX_EPT_MISCONFIG:
		exit->gpa = gpa(vmread(VMCS_GUEST_PHYS));
		return EXIT_MISCONFIG;
	case VMX_INVD: /* the host's dirty lines must not be lost: written back instead */
	case VMX_WBINVD:
		__asm__ volatile("wbinvd" : : : "memory");
		vmx_skip(vcpu, exit);
		return EXIT_RETRY;
	case VMX_RDPMC: /* there is no counter */
		return EXIT_GP;
	case VMX_GETSEC:
	case VMX_MWAIT:
	case VMX_MONITOR:
	case VMX_INVEPT:
	case VMX_INVVPID:
	case VMX_VMFUNC:
	case VMX_VMCLEAR ... VMX_VMXON:
		return EXIT_UD;
	default:
		return EXIT_BROKEN;
	}
}

/* The timer counts down from (deadline - now), in units of 2^shift cycles. */
static void set_timer(struct vcpu *vcpu, uint64_t deadline)
{
	bool on = deadline && vmx.preempt;
	uint64_t now, left;

	if (on != vcpu->hw_timer)
		vmwrite(VMCS_PIN, on ? vmx.pin | PIN_PREEMPT : vmx.pin);
	vcpu->hw_timer = on;
	if (!on)
		return;
	now = clock_now();
	left = deadline > now ? (deadline - now) >> vmx.preempt_shift : 0;
	vmwrite(VMCS_PREEMPT, MIN(left, (uint64_t)UINT32_MAX));
}

/*
 * vmx_enter(): loads the guest's registers and enters; returns at the next exit, with the guest's
 * registers in gpr[] again. RSP, RIP and RFLAGS are the VMCS's. *host_rsp is the VMCS's HOST_RSP, 0
 * if that was never written. It gives no register back but RSP and RBP: what is needed afterwards,
 * and nothing else, the compiler saves, where it is needed.
 * Return: false where VMLAUNCH or VMRESUME failed (VMCS_ERROR says why).
 */
static inline bool enter(uint64_t gpr[GPRS], uint64_t launched, uint64_t *host_rsp)
{
	bool failed;

	__asm__ volatile("call vmx_enter"
			 : "=@ccc"(failed), "+D"(gpr), "+S"(launched), "+d"(host_rsp)
			 :
			 : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15", "memory");
	return !failed;
}

/* Enters the guest. Says in *exit why it came back. */
static inline void enter_and_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	uint32_t idtv;

	if (vcpu->until || vcpu->hw_timer)
		set_timer(vcpu, vcpu->until);
	if (!enter(vcpu->state.gpr, vcpu->hw_launched, &vcpu->hw_rsp)) {
		exit->code = vmread(VMCS_ERROR);
		exit->rip = vmread(VMCS_GUEST_RIP);
		exit->reason = EXIT_BROKEN;
		return;
	}
	vcpu->hw_launched = true;
	exit->code = vmread(VMCS_REASON);
	if (exit->code == VMX_EPT_VIOLATION) {
		idtv = (uint32_t)vmread(VMCS_IDTV_INFO);
		exit->reason = stage2_exit(exit, idtv);
	} else if (exit->code & REASON_FAILED) {
		exit->rip = vmread(VMCS_GUEST_RIP);
		exit->reason = EXIT_BROKEN;
		return;
	} else {
		idtv = (uint32_t)vmread(VMCS_IDTV_INFO);
		exit->length = (unsigned int)vmread(VMCS_LENGTH);
		exit->rip = vmread(VMCS_GUEST_RIP);
		exit->reason = decode(vcpu, (uint32_t)exit->code, exit);
	}
	if (idtv & INTR_VALID && exit->code != VMX_EXCEPTION)
		vmx_keep_event(idtv);
}

void vmx_run(struct vcpu *vcpu, const struct vcpu_rare *rare)
{
	struct vcpu_exit *exit = &vcpu->last_exit;
	const struct tlb *tlb = &vcpu->mem->tlb;
	const unsigned int cpu = vcpu->cpu;

	while (vcpu_may_enter(vcpu, tlb, cpu, rare)) {
		enter_and_exit(vcpu, exit);
		if (!vcpu_exited(vcpu, exit, rare))
			break;
	}
}

/* Each exit gives all of it back. */
static void vmx_leave(void)
{
}

void vmx_dump(void)
{
	con_printf("cleave: vmcs: reason 0x%llx qualification 0x%llx gpa 0x%llx error %llu\n",
		   (unsigned long long)vmread(VMCS_REASON),
		   (unsigned long long)vmread(VMCS_QUALIFICATION),
		   (unsigned long long)vmread(VMCS_GUEST_PHYS),
		   (unsigned long long)vmread(VMCS_ERROR));
	con_printf("cleave: vmcs: rip 0x%llx rsp 0x%llx rflags 0x%llx cr0 0x%llx cr3 0x%llx cr4 "
		   "0x%llx efer 0x%llx\n",
		   (unsigned long long)vmread(VMCS_GUEST_RIP),
		   (unsigned long long)vmread(VMCS_GUEST_RSP),
		   (unsigned long long)vmread(VMCS_GUEST_RFLAGS),
		   (unsigned long long)vmread(VMCS_GUEST_CR0),
		   (unsigned long long)vmread(VMCS_GUEST_CR3),
		   (unsigned long long)vmread(VMCS_GUEST_CR4),
		   (unsigned long long)vmread(VMCS_GUEST_EFER));
	con_printf("cleave: vmcs: eptp 0x%llx pin 0x%llx cpu 0x%llx cpu2 0x%llx exit 0x%llx entry "
		   "0x%llx inject 0x%llx idtv 0x%llx\n",
		   (unsigned long long)vmread(VMCS_EPTP), (unsigned long long)vmread(VMCS_PIN),
		   (unsigned long long)vmread(VMCS_CPU), (unsigned long long)vmread(VMCS_CPU2),
		   (unsigned long long)vmread(VMCS_EXITC), (unsigned long long)vmread(VMCS_ENTRYC),
		   (unsigned long long)vmread(VMCS_INJECT_INFO),
		   (unsigned long long)vmread(VMCS_IDTV_INFO));
}

static uint64_t vmx_cr4(const struct vcpu *vcpu)
{
	(void)vcpu;
	return vmx_get_cr4();
}

static unsigned int vmx_cr8(const struct vcpu *vcpu)
{
	return (unsigned int)vcpu->state.cr8;
}

static void vmx_set_cr8(struct vcpu *vcpu, unsigned int value)
{
	vcpu->state.cr8 = value;
}

const struct vendor vendor_vmx = {
	.name = "VMX",
	.format = &ept_format_intel,
	.flush_name = "INVEPTs",
	.call_abi = ABI_CALL_VMCALL,
	.mca = &mca_kind_intel,
	.probe = vmx_probe,
	.leaf_max = vmx_leaf_max,
	.has_dirty = vmx_has_dirty,
	.has_log = vmx_has_log,
	.log = vmx_log,
	.drain = vmx_drain,
	.nx_rule = vmx_nx_rule,
	.enable = vmx_enable,
	.create = vmx_create,
	.destroy = vmx_destroy,
	.load = vmx_load,
	.activate = vmx_activate,
	.deactivate = vmx_deactivate,
	.debug = vmx_debug,
	.save = vmx_save,
	.peek = vmx_peek,
	.run = vmx_run,
	.leave = vmx_leave,
	.inject = vmx_inject,
	.open = vmx_open,
	.interrupt = vmx_interrupt,
	.window = vmx_window,
	.nmi_open = vmx_nmi_open,
	.nmi = vmx_nmi,
	.cr8 = vmx_cr8,
	.set_cr8 = vmx_set_cr8,
	.interrupts_on = vmx_interrupts_on,
	.was_delivering = vmx_was_delivering,
	.cr4 = vmx_cr4,
	.rip = vmx_rip,
	.in_kernel = vmx_in_kernel,
	.skip = vmx_skip,
	.rdmsr = vmx_rdmsr,
	.wrmsr = vmx_wrmsr,
	.flush = vmx_flush,
	.dump = vmx_dump,
};
