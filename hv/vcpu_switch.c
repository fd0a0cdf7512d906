/* SPDX-License-Identifier: MIT */
/*
 * Switching a CPU between vCPUs. What VM entry and exit do not switch belongs to the vCPU that ran
 * last on this CPU, and is exchanged only when another one takes its turn: FPU and vector
 * registers, the MSRs of SYSCALL, debug registers, CR2. Root mode uses none of these.
 */
#include "hv/trace.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "mm/x86.h"

#define SEL_FLAT_CODE 0x08
#define SEL_FLAT_DATA 0x10
#define FX_CONTROL    0x037f /* x87 control word after FNINIT */
#define FX_MXCSR      0x1f80
#define PAT_RESET     UINT64_C(0x0007040600070406)
#define ATTR_CODE_64  0xa09b
#define ATTR_DATA     0xc093
#define ATTR_TSS_BUSY 0x008b
#define ATTR_UNUSABLE 0x10000

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

#define DR_SWITCH(n)                                                                               \
	static void save_dr##n(struct guest_state *s)                                              \
	{                                                                                          \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(s->dr[n]));                           \
	}                                                                                          \
	static void load_dr##n(const struct guest_state *s)                                        \
	{                                                                                          \
		__asm__ volatile("mov %0, %%dr" #n : : "r"(s->dr[n]));                             \
	}

DR_SWITCH(0)
DR_SWITCH(1)
DR_SWITCH(2)
DR_SWITCH(3)

static void save_registers(struct guest_state *s)
{
	__asm__ volatile("fxsave64 %0" : "=m"(s->fx));
	s->star = x86_rdmsr(MSR_STAR);
	s->lstar = x86_rdmsr(MSR_LSTAR);
	s->cstar = x86_rdmsr(MSR_CSTAR);
	s->fmask = x86_rdmsr(MSR_FMASK);
	s->kernel_gs_base = x86_rdmsr(MSR_KERNEL_GS_BASE);
	s->cr2 = x86_read_cr2();
	save_dr0(s);
	save_dr1(s);
	save_dr2(s);
	save_dr3(s);
	__asm__ volatile("mov %%dr6, %0" : "=r"(s->dr6));
}

static void load_registers(const struct guest_state *s)
{
	__asm__ volatile("fxrstor64 %0" : : "m"(s->fx));
	x86_wrmsr(MSR_STAR, s->star);
	x86_wrmsr(MSR_LSTAR, s->lstar);
	x86_wrmsr(MSR_CSTAR, s->cstar);
	x86_wrmsr(MSR_FMASK, s->fmask);
	x86_wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
	x86_write_cr2(s->cr2);
	load_dr0(s);
	load_dr1(s);
	load_dr2(s);
	load_dr3(s);
	__asm__ volatile("mov %0, %%dr6" : : "r"(s->dr6));
}

void vcpu_switch_to(struct vcpu *vcpu)
{
	struct vcpu *last = current[vcpu->cpu];

	if (last == vcpu)
		return;
	if (last)
		save_registers(&last->state);
	load_registers(&vcpu->state);
	current[vcpu->cpu] = vcpu;
	if (vcpu->loaded) {
		vendor->activate(vcpu);
		return;
	}
	vendor->load(vcpu);
	vcpu->loaded = true;
	trace(TRACE_ENTER, vcpu->vm->id, vcpu->index);
}

void vcpu_put(struct vcpu *vcpu)
{
	if (!vcpu->loaded)
		return;
	if (current[vcpu->cpu] == vcpu) {
		save_registers(&vcpu->state);
		current[vcpu->cpu] = NULL;
	}
	vendor->save(vcpu);
	vcpu->loaded = false;
	trace(TRACE_LEAVE, vcpu->vm->id, vcpu->index);
}
