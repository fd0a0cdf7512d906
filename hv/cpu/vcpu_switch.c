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
 *	segments, GDTR, IDTR,		switched at each entry and exit; SVM: FS, GS, LDTR, TR,
 *	 SYSENTER_*			 SYSENTER_*: svm_leave()
 *	STAR, LSTAR, CSTAR, FMASK	SVM: when root mode leaves the guest's (svm_leave());
 *					VMX: exit; with the vCPU, if its SYSCALL needs others
 *	KERNEL_GS_BASE			SVM: likewise; VMX: with the vCPU
 *	CR2				with the vCPU; SVM: the VMCB has it, too
 *	CR8, TPR			VMX: exits; SVM: the VMCB has it (V_TPR)
 *	x87, MMX, XMM, YMM, MXCSR,	with the vCPU, hv/cpu/xstate.c
 *	 XCR0
 *	x87's last instruction,		cleared with the vCPU, where XRSTOR leaves them (AMD)
 *	 operand, opcode
 *	DR0 .. DR3, VMX: DR6		exit, until the vCPU's are loaded: at its first access,
 *					or with the vCPU, if breakpoints are enabled
 *	ZMM, opmasks, PKRU, bounds,	off (CR4, XCR0); SVM without decode assists: reset with
 *	 tiles				the vCPU, hv/cpu/xstate.c
 *	XSS, PKRS, PASID, U_CET,	MSRs: exit; what CR4 has of them is of no use without
 *	 S_CET, SSP
 *	TSC, TSC_ADJUST,		an offset for each vCPU; the MSRs exit
 *	 TSC_DEADLINE, x2APIC		(hv/platform/lapic.h)
 *	TSC_AUX				its MSR exits; RDTSCP, RDPID: off (VMX); RDTSCP exits
 *					(SVM, but not in QEMU), RDPID reads what the firmware
 *					left, in each VM the same
 *	DEBUGCTL, LBR, BTS,		MSRs: exit; DEBUGCTL is 0
 *	 processor trace
 *	performance counters,		MSRs exit; RDPMC and RDPRU exit
 *	 MPERF, APERF
 *	SPEC_CTRL, PRED_CMD,		exit
 *	 VIRT_SPEC_CTRL
 *	MTRRs, APIC_BASE,		exit; the APIC's page is not in the second stage
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
#include "hv/base/trace_stream.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "mm/percpu.h"
#include "mm/x86.h"

static struct vcpu *current[MAX_CPUS]; /* whose registers the CPU holds */

/* Takes what this CPU holds of a vCPU. */
static void take_registers(struct vcpu *vcpu)
{
	xstate_save(&vcpu->state.xstate);
	if (vcpu->debug)
		vendor->debug(vcpu, false);
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
	} else if (trace_streams) {
		trace(TRACE_ENTER, vcpu->vm->id, vcpu->index);
	}
	vendor->activate(vcpu);
	xstate_load(&vcpu->state.xstate);
	if (vcpu->state.dr7 & DR7_ENABLED)
		vendor->debug(vcpu, true);
	current[vcpu->cpu] = vcpu;
}

void vcpu_lend_registers(void)
{
	struct vcpu *vcpu = current[cpu_id()];

	if (vcpu)
		take_registers(vcpu);
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
