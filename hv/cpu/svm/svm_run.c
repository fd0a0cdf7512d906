/* SPDX-License-Identifier: MIT */
/* Running a vCPU on SVM, and what its exits mean (APM vol. 2, "#VMEXIT", appendix C). */
#include "hv/cpu/svm/svm.h"

#include "hv/cpu/vcpu_loop.h"
#include "hv/abi.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "mm/apic.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "mm/x86.h"

/* --- exits -------------------------------------------------------------------------------- */

/*
 * #DB and #AC are the guest's own, and take the place of an event whose delivery they interrupted:
 * it comes again by itself. While they go on meeting each other the guest executes nothing, so no
 * interrupt makes it exit: it counts as kicked.
 */
static enum exit_reason exception_exit(struct vcpu *vcpu, const struct vmcb *b)
{
	uint32_t vector = (uint32_t)b->exit_code - SVM_EXCEPTION;
	bool has_error = vector == EXCEPTION_AC;

	if (vector == EXCEPTION_MC)
		return EXIT_BROKEN;
	if (vcpu_is_storm(vcpu, svm_met_itself(b, vector)))
		return EXIT_STORM;
	svm_inject(vcpu, vector, has_error ? (int64_t)(uint32_t)b->exit_info1 : INJECT_NO_ERROR);
	return EXIT_KICK;
}

/* Only the single step over the HLT itself wakes a payload. */
static enum exit_reason hlt_exit(struct vcpu *vcpu, const struct vmcb *b, struct vcpu_exit *exit)
{
	if (!(b->rflags & RFLAGS_TF))
		return EXIT_HLT;
	svm_skip(vcpu, exit);
	return EXIT_RETRY;
}

/* EXITINFO1: 0 in, 2 string, 3 repeated, 6:4 size, 31:16 port; EXITINFO2: the next RIP. */
static enum exit_reason io_exit(const struct vmcb *b, struct vcpu_exit *exit)
{
	uint64_t info = b->exit_info1;

	exit->port = (uint16_t)(info >> 16);
	exit->size = (uint8_t)(info >> 4 & 7);
	exit->out = !(info & 1);
	exit->length = (unsigned int)(b->exit_info2 - b->rip);
	return info & (1u << 2) ? EXIT_UD : EXIT_IO;
}

static uint64_t svm_cr4(const struct vcpu *vcpu)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	return b->cr4;
}

static struct control control_of(const struct vcpu *vcpu, const struct vmcb *b)
{
	return (struct control){
		.cr0 = b->cr0,
		.cr4 = b->cr4,
		.efer = b->efer & ~(uint64_t)EFER_SVME,
		.code_64 = b->cs.attributes & VMCB_ATTR_LONG,
		.xsave = vcpu_has_xsave(vcpu),
	};
}

/*
 * A write to CR0 or CR4 that the CPU has decoded (APM vol. 2, "Decode Assists"). Without the mark
 * of a MOV it is LMSW, with another value for EM: a 64-bit guest has no need of it.
 *
 * By the manual only: none of the CPUs and emulators that this was run on has decode assists.
 */
static enum exit_reason cr_exit(struct vcpu *vcpu, struct vmcb *b, struct vcpu_exit *exit)
{
	unsigned int reg = b->exit_info1 & 15;
	uint64_t value = reg == RSP ? b->rsp : vcpu->state.gpr[reg];
	struct control c = control_of(vcpu, b);

	if (!(b->exit_info1 & CR_IS_MOV))
		return EXIT_UD;
	if (b->exit_code == SVM_CR4_WRITE ? !control_set_cr4(&c, value)
					  : !control_set_cr0(&c, value))
		return EXIT_GP;
	b->cr0 = c.cr0;
	b->cr4 = c.cr4;
	b->efer = c.efer | EFER_SVME;
	/* The CPU's own MOV would have forgotten translations that these bits govern. */
	svm_flush(vcpu_ept(vcpu));
	exit->length = (unsigned int)(b->next_rip - b->rip);
	svm_skip(vcpu, exit);
	return EXIT_RETRY;
}

static enum exit_reason npf_exit(const struct vmcb *b, struct vcpu_exit *exit)
{
	uint32_t error = (uint32_t)b->exit_info1;

	exit->gpa = gpa(b->exit_info2);
	exit->access = EPT_R | (error & NPF_WRITE ? EPT_W : 0) | (error & NPF_FETCH ? EPT_X : 0);
	return EXIT_STAGE2;
}

/* Lengths of the instructions that exit, where the CPU does not tell the next RIP. Prefixes that
 * mean nothing make them longer: such a guest executes the rest as its next instruction. The next
 * RIP is by the manual only: nothing that this was run on tells it. */
static unsigned int length_of(const struct vmcb *b, unsigned int usual)
{
	return svm.nrip && b->next_rip ? (unsigned int)(b->next_rip - b->rip) : usual;
}

static enum exit_reason decode(struct vcpu *vcpu, struct vmcb *b, struct vcpu_exit *exit)
{
	if ((uint32_t)b->exit_code == SVM_INVALID)
		return EXIT_BROKEN;
	switch (b->exit_code) {
	case SVM_INTR:
	case SVM_NMI:
	case SVM_SMI:
	case SVM_INIT:
		return EXIT_KICK;
	case SVM_EXCEPTION ... SVM_EXCEPTION + 31:
		return exception_exit(vcpu, b);
	case SVM_DR_READ ... SVM_DR_WRITE + 15: /* executed again */
		svm_debug(vcpu, true);
		return EXIT_RETRY;
	case SVM_CPUID:
		exit->length = length_of(b, 2);
		return EXIT_CPUID;
	case SVM_HLT:
		exit->length = length_of(b, 1);
		return hlt_exit(vcpu, b, exit);
	case SVM_VINTR:
		return EXIT_WINDOW;
	case SVM_IRET:
		svm_nmi_over(vcpu);
		return EXIT_RETRY;
	case SVM_XSETBV:
		exit->length = length_of(b, 3);
		return EXIT_XSETBV;
	case SVM_ICEBP: /* INT1: a trap, delivered with the RIP behind it */
		svm_step_over(b, length_of(b, 1));
		svm_inject(vcpu, EXCEPTION_DB, INJECT_NO_ERROR);
		return EXIT_RETRY;
	case SVM_VMMCALL:
		exit->length = length_of(b, 3);
		return EXIT_CALL;
	case SVM_MSR:
		exit->length = length_of(b, 2);
		return b->exit_info1 ? EXIT_WRMSR : EXIT_RDMSR;
	case SVM_IO:
		return io_exit(b, exit);
	case SVM_SHUTDOWN:
		return EXIT_TRIPLE;
	case SVM_INVD: /* the host's dirty lines must not be lost: written back instead */
	case SVM_WBINVD:
		exit->length = length_of(b, 2);
		__asm__ volatile("wbinvd" : : : "memory");
		svm_skip(vcpu, exit);
		return EXIT_RETRY;
	case SVM_CR0_SEL_WRITE:
	case SVM_CR4_WRITE:
		return cr_exit(vcpu, b, exit);
	case SVM_RDPMC: /* there is no counter */
		return EXIT_GP;
	case SVM_RDTSCP:
	case SVM_INVLPGA:
	case SVM_VMRUN:
	case SVM_VMLOAD ... SVM_SKINIT:
	case SVM_MONITOR ... SVM_MWAIT_ARMED:
	case SVM_RDPRU:
		return EXIT_UD;
	default:
		return EXIT_BROKEN;
	}
}

/* --- the run ------------------------------------------------------------------------------- */

/* The slice ends with a timer interrupt. */
static void set_timer(struct vcpu *vcpu, uint64_t deadline)
{
	uint64_t now = clock_now();

	vcpu->hw_deadline = deadline;
	apic_timer(!deadline ? 0 : deadline > now ? deadline - now : 1);
}

/*
 * Does what an entry rarely needs: the first of a run; another deadline; a flush, or none after
 * one. Flushes all ASIDs, even where the CPU can flush one: other vCPUs of the same second stage on
 * this CPU have ASIDs of their own.
 */
static void prepare_entry(struct vcpu *vcpu)
{
	struct svm_cpu *c = &svm_cpus[vcpu->cpu];
	bool flush = c->due & DUE_FLUSH;

	if (vcpu->until != vcpu->hw_deadline)
		set_timer(vcpu, vcpu->until);
	c->current->tlb_control = flush ? TLB_ALL : TLB_NOTHING;
	if (c->due & DUE_COME_IN)
		svm_come_in(vcpu->hw_page);
	c->due = flush ? DUE_NO_FLUSH : 0;
}

static enum exit_reason kicked(struct vcpu *vcpu)
{
	if (clock_now() < vcpu->hw_deadline) {
		/* Perhaps the timer came a little early: it does not come again. */
		vcpu->hw_deadline = 0;
		return EXIT_KICK;
	}
	svm_leave();
	x86_take_interrupts();
	return EXIT_SLICE;
}

static void rare_exit(struct vcpu *vcpu, struct vmcb *b, struct vcpu_exit *exit)
{
	exit->rip = b->rip;
	exit->reason = decode(vcpu, b, exit);
	if (exit->reason == EXIT_KICK && vcpu->hw_deadline)
		exit->reason = kicked(vcpu);
}

/*
 * svm_enter(): switches to the guest's registers and runs it until it exits, with the host's
 * interrupts open to exits and closed to the host itself. gpr[RAX] and gpr[RSP] are the VMCB's. It
 * gives no register back but RSP and RBP: what is needed afterwards, and nothing else, the compiler
 * saves, where it is needed.
 */
static inline void enter(uint64_t gpr[GPRS], hpa_t vmcb, struct svm_gs *gs)
{
	__asm__ volatile("call svm_enter"
			 : "+D"(gpr), "+S"(vmcb.v), "+d"(gs)
			 :
			 : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15", "memory", "cc");
}

/* Enters the guest. Says in *exit why it came back. */
static inline void enter_and_exit(struct vcpu *vcpu, struct svm_cpu *c, struct vmcb *b,
				  struct vcpu_exit *exit)
{
	if (c->due || vcpu->until != vcpu->hw_deadline)
		prepare_entry(vcpu);
	b->rax = vcpu->state.gpr[RAX];
	enter(vcpu->state.gpr, vcpu->hw_page, &c->gs);
	vcpu->state.gpr[RAX] = b->rax;
	exit->code = b->exit_code;
	b->event_inject = 0;
	if (b->exit_int_info & EVENT_VALID)
		svm_keep_event(b);
	if (b->exit_code == SVM_NPF)
		exit->reason = npf_exit(b, exit);
	else
		rare_exit(vcpu, b, exit);
}

void svm_run(struct vcpu *vcpu, const struct vcpu_rare *rare)
{
	struct svm_cpu *c = &svm_cpus[vcpu->cpu];
	struct vmcb *b = c->current;
	struct vcpu_exit *exit = &vcpu->last_exit;
	const struct tlb *tlb = &vcpu->mem->tlb;
	const unsigned int cpu = vcpu->cpu;

	while (vcpu_may_enter(vcpu, tlb, cpu, rare)) {
		enter_and_exit(vcpu, c, b, exit);
		if (!vcpu_exited(vcpu, exit, rare))
			break;
	}
}

void svm_dump(void)
{
	const struct vmcb *b = svm_cpus[cpu_id()].current;

	if (!b)
		return;
	con_printf("cleave: vmcb: code 0x%llx info1 0x%llx info2 0x%llx intinfo 0x%llx\n",
		   (unsigned long long)b->exit_code, (unsigned long long)b->exit_info1,
		   (unsigned long long)b->exit_info2, (unsigned long long)b->exit_int_info);
	con_printf("cleave: vmcb: rip 0x%llx rsp 0x%llx rflags 0x%llx cr0 0x%llx cr3 0x%llx cr4 "
		   "0x%llx efer 0x%llx\n",
		   (unsigned long long)b->rip, (unsigned long long)b->rsp,
		   (unsigned long long)b->rflags, (unsigned long long)b->cr0,
		   (unsigned long long)b->cr3, (unsigned long long)b->cr4,
		   (unsigned long long)b->efer);
	con_printf("cleave: vmcb: n_cr3 0x%llx asid %u inject 0x%llx\n",
		   (unsigned long long)b->n_cr3, b->asid, (unsigned long long)b->event_inject);
}

/* EFER and PAT live in the VMCB, and so does what the TSC is off by. */
static int svm_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const struct vmcb *b = direct(vcpu->hw_page);

	switch (msr) {
	case MSR_TSC:
		*value = x86_rdtsc() + b->tsc_offset;
		return 0;
	case MSR_EFER:
		*value = b->efer & ~(uint64_t)EFER_SVME;
		return 0;
	case MSR_PAT:
		*value = b->pat;
		return 0;
	default:
		return -ENOENT;
	}
}

static int svm_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vmcb *b = direct(vcpu->hw_page);
	struct control c = control_of(vcpu, b);

	switch (msr) {
	case MSR_TSC:
		vcpu->state.tsc_offset = b->tsc_offset = value - x86_rdtsc();
		return 0;
	case MSR_EFER:
		if (!control_set_efer(&c, value))
			return -EINVAL;
		b->efer = c.efer | EFER_SVME;
		return 0;
	case MSR_PAT:
		if (!control_pat_valid(value))
			return -EINVAL;
		b->pat = value;
		return 0;
	default:
		return -ENOENT;
	}
}

const struct vendor vendor_svm = {
	.name = "SVM",
	.format = &ept_format_amd,
	.flush_name = "TLB flushes",
	.call_abi = ABI_CALL_VMMCALL,
	.mca = &mca_kind_amd,
	.probe = svm_probe,
	.leaf_max = svm_leaf_max,
	.has_dirty = svm_has_dirty,
	.nx_rule = svm_nx_rule,
	.enable = svm_enable,
	.create = svm_create,
	.destroy = svm_destroy,
	.load = svm_load,
	.activate = svm_activate,
	.deactivate = svm_deactivate,
	.debug = svm_debug,
	.save = svm_save,
	.peek = svm_peek,
	.run = svm_run,
	.leave = svm_leave,
	.inject = svm_inject,
	.open = svm_open,
	.interrupt = svm_interrupt,
	.window = svm_window,
	.nmi_open = svm_nmi_open,
	.nmi = svm_nmi,
	.cr8 = svm_cr8,
	.set_cr8 = svm_set_cr8,
	.interrupts_on = svm_interrupts_on,
	.was_delivering = svm_was_delivering,
	.cr4 = svm_cr4,
	.rip = svm_rip,
	.in_kernel = svm_in_kernel,
	.skip = svm_skip,
	.rdmsr = svm_rdmsr,
	.wrmsr = svm_wrmsr,
	.flush = svm_flush,
	.dump = svm_dump,
};
