/* SPDX-License-Identifier: MIT */
/*
 * Switching a CPU between vCPUs. Registers that VM entry and exit do not switch belong to the vCPU
 * that ran last on this CPU, until another one takes its turn: this file switches FPU, vector and
 * address debug registers, the vendor's code the others. Root mode uses none of these.
 *
 * All registers that a guest's instructions could reach, and why no VM finds another one's values
 * there. "exits": the access exits; Cleave refuses or emulates it. "off": the guest cannot switch
 * the register's feature on. For both makers, unless one is named.
 *
 *	RAX .. R15, RIP, RFLAGS,	switched at each entry and exit
 *	 RSP
 *	CR0, CR3, CR4, EFER, PAT,	switched at each entry and exit
 *	 DR7
 *	segments, GDTR, IDTR,		switched at each entry and exit
 *	 SYSENTER_*
 *	STAR, LSTAR, CSTAR, FMASK,	SVM: at each exit (VMLOAD, VMSAVE); VMX: with the vCPU
 *	 KERNEL_GS_BASE
 *	CR2, DR6			with the vCPU; SVM: the VMCB has them, too
 *	CR8, TPR			VMX: exits; SVM: the VMCB has it (V_TPR)
 *	x87, MMX, XMM, MXCSR		with the vCPU, here
 *	x87's last instruction,		cleared with the vCPU, where FXRSTOR leaves them (AMD)
 *	 operand, opcode
 *	DR0 .. DR3			with the vCPU, here
 *	XCR0, YMM, ZMM, opmasks,	off (CR4); SVM without decode assists: reset with the
 *	 PKRU, bounds, tiles		vCPU, hv/cpu/svm/svm_xstate.c
 *	XSS, PKRS, PASID, U_CET,	MSRs: exit; what CR4 has of them is of no use without
 *	 S_CET, SSP
 *	TSC, TSC_ADJUST,		an offset for each vCPU; the MSRs exit
 *	 TSC_DEADLINE
 *	TSC_AUX				its MSR exits; RDTSCP, RDPID: off (VMX); RDTSCP exits
 *					(SVM, but not in QEMU), RDPID reads what the firmware
 *					left, in each VM the same
 *	DEBUGCTL, LBR, BTS,		MSRs: exit; DEBUGCTL is 0
 *	 processor trace
 *	performance counters,		MSRs exit; RDPMC and RDPRU exit
 *	 MPERF, APERF
 *	SPEC_CTRL, PRED_CMD,		exit
 *	 VIRT_SPEC_CTRL
 *	MTRRs, APIC_BASE, x2APIC,	exit; the APIC's page is not in the second stage
 *	 MISC_ENABLE
 *	MONITOR's address		MONITOR(X) and MWAIT(X) exit; UMWAIT, TPAUSE: off
 *	machine checks' banks		exit; each vCPU has its own, hv/cpu/mca.h
 *	those of VMX, SVM, SMX		exit
 *	SGX, key locker, user		off (VMX: controls, CR4); AMD's CPUs have none
 *	 interrupts
 *
 * RDRAND, RDSEED and the other instructions of CPUID's allow-list keep nothing. Caches, branch
 * predictors and buffers are not registers: nothing is done about them.
 */
#include "hv/base/trace.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "mm/x86.h"

#define SEL_FLAT_CODE 0x08
#define SEL_FLAT_DATA 0x10
#define FX_CONTROL    0x037f /* x87 control word after FNINIT */
#define FX_MXCSR      0x1f80
#define PAT_RESET     UINT64_C(0x0007040600070406)
#define ATTR_CODE_64  0xa09b
#define ATTR_DATA     0xc093
#define ATTR_TSS_BUSY 0x008b

static struct vcpu *current[MAX_CPUS]; /* whose registers the CPU holds */

void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t cr3, uint64_t stack)
{
	struct guest_state *s = &vcpu->state;
	struct segment_state data = {
		.selector = SEL_FLAT_DATA,
		.attributes = ATTR_DATA,
		.limit = UINT32_MAX,
	};

	*s = (struct guest_state){
		.rip = entry,
		.rflags = 2,
		.cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_PE,
		.cr3 = cr3,
		.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
		.pat = PAT_RESET,
		.dr6 = 0xffff0ff0,
		.dr7 = 0x400,
		.mca = MCA_RESET,
	};
	s->gpr[RSP] = stack;
	for (unsigned int i = SEG_ES; i <= SEG_GS; i++)
		s->seg[i] = data;
	s->seg[SEG_CS].selector = SEL_FLAT_CODE;
	s->seg[SEG_CS].attributes = ATTR_CODE_64;
	s->seg[SEG_LDTR] = (struct segment_state){ .attributes = ATTR_UNUSABLE };
	s->seg[SEG_TR] = (struct segment_state){ .attributes = ATTR_TSS_BUSY, .limit = 0x67 };
	s->fx[0] = FX_CONTROL & 0xff;
	s->fx[1] = FX_CONTROL >> 8;
	s->fx[24] = FX_MXCSR & 0xff;
	s->fx[25] = FX_MXCSR >> 8;
}

static void save_registers(struct guest_state *s)
{
	__asm__ volatile("fxsave64 %0" : "=m"(s->fx));
	s->dr[0] = x86_read_dr0();
	s->dr[1] = x86_read_dr1();
	s->dr[2] = x86_read_dr2();
	s->dr[3] = x86_read_dr3();
}

static void load_registers(const struct guest_state *s)
{
	/* On AMD's CPUs FXRSTOR leaves the last instruction, operand and opcode of the x87 as they
	 * are, unless an exception is pending: FNINIT clears what another guest left (APM vol. 2,
	 * "FXSAVE and FXRSTOR Instructions"). */
	__asm__ volatile("fninit\n\tfxrstor64 %0" : : "m"(s->fx));
	x86_write_dr0(s->dr[0]);
	x86_write_dr1(s->dr[1]);
	x86_write_dr2(s->dr[2]);
	x86_write_dr3(s->dr[3]);
}

/* Takes what this CPU holds of a vCPU. */
static void take_registers(struct vcpu *vcpu)
{
	save_registers(&vcpu->state);
	vendor->deactivate(vcpu);
	current[vcpu->cpu] = NULL;
}

void vcpu_switch_to(struct vcpu *vcpu)
{
	struct vcpu *last = current[vcpu->cpu];

	if (last == vcpu)
		return;
	if (last)
		take_registers(last);
	if (!vcpu->loaded) {
		vendor->load(vcpu);
		vcpu->loaded = true;
		trace(TRACE_ENTER, vcpu->vm->id, vcpu->index);
	}
	vendor->activate(vcpu);
	load_registers(&vcpu->state);
	current[vcpu->cpu] = vcpu;
}

void vcpu_put(struct vcpu *vcpu)
{
	if (!vcpu->loaded)
		return;
	/* Even from a vCPU that goes on: to save this one, the vendor's code deactivates the
	 * current one, so that must be activated again. */
	if (current[vcpu->cpu])
		take_registers(current[vcpu->cpu]);
	vendor->save(vcpu);
	vcpu->loaded = false;
	/* The next load begins without a log. */
	atomic_store(&vcpu->logging, false);
	trace(TRACE_LEAVE, vcpu->vm->id, vcpu->index);
}
