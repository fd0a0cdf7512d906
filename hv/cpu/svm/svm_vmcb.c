/* SPDX-License-Identifier: MIT */
/* Filling a VMCB from a vCPU's state, and reading it back (APM vol. 2, appendix B). */
#include "hv/cpu/svm/svm.h"

#include "hv/base/panic.h"
#include "hv/cpu/debug.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "mm/x86.h"

/* One for all; 1 means exit. Three runs of 2 KiB, two bits (read, write) for each MSR: from 0, from
 * 0xc0000000, from 0xc0010000 (APM vol. 2, "MSR Intercepts"). */
static uint8_t msrpm[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t iopm[3 * PAGE_SIZE] __attribute__((aligned(4096)));

static void msr_pass(uint32_t msr)
{
	uint32_t bit = (msr & 0x1fff) * 2 + (msr >= 0xc0000000 ? 2048 * 8 : 0);

	msrpm[bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

/* MSRs that VMRUN or VMLOAD switch: a guest may write them freely. */
static void make_maps(void)
{
	static const uint32_t passed[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP,   MSR_SYSENTER_EIP, MSR_STAR,
		MSR_LSTAR,       MSR_CSTAR,          MSR_FMASK,        MSR_FS_BASE,
		MSR_GS_BASE,     MSR_KERNEL_GS_BASE,
	};

	if (msrpm[0])
		return;
	__builtin_memset(msrpm, 0xff, sizeof(msrpm));
	__builtin_memset(iopm, 0xff, sizeof(iopm));
	for (size_t i = 0; i < ARRAY_LEN(passed); i++)
		msr_pass(passed[i]);
}

#define ASIDS_MAX 64

/* Who had the ASID last on a CPU: there are not always as many as vCPUs. */
static const struct vcpu *asid_user[MAX_CPUS][ASIDS_MAX];

int svm_create(struct vcpu *vcpu)
{
	static uint32_t last_asid;

	vcpu->hw_page = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	if (vcpu->hw_page.v == HPA_NONE.v)
		return -ENOMEM;
	/* 0 is the host's. Each load flushes what a former user of the number left. */
	last_asid = last_asid + 1 < MIN(svm.asids, ASIDS_MAX) ? last_asid + 1 : 1;
	vcpu->hw_tag = last_asid;
	make_maps();
	return 0;
}

void svm_destroy(struct vcpu *vcpu)
{
	if (vcpu->hw_page.v != HPA_NONE.v &&
	    frame_free(&machine_frames, vcpu->hw_page, FRAME_ORDER_4K))
		panic("a VMCB was not ours to free");
	vcpu->hw_page = HPA_NONE;
}

/* Attributes: the VMCS's format has 15:12 where the VMCB's has 11:8, and a bit for "unusable". */
static struct vmcb_segment to_segment(const struct segment_state *s)
{
	uint32_t a = s->attributes;

	return (struct vmcb_segment){
		.selector = s->selector,
		.attributes = a & ATTR_UNUSABLE ? 0 : (uint16_t)((a & 0xff) | (a >> 4 & 0xf00)),
		.limit = s->limit,
		.base = s->base,
	};
}

static struct segment_state from_segment(const struct vmcb_segment *s)
{
	uint32_t a = s->attributes;

	return (struct segment_state){
		.selector = s->selector,
		.attributes = a & ATTR_PRESENT ? (a & 0xff) | (a & 0xf00) << 4 : ATTR_UNUSABLE,
		.limit = s->limit,
		.base = s->base,
	};
}

/* The VMCB's segment registers, in the order of enum segment. */
static void each_segment(struct vmcb *b, struct vmcb_segment *at[SEGMENTS])
{
	at[SEG_ES] = &b->es;
	at[SEG_CS] = &b->cs;
	at[SEG_SS] = &b->ss;
	at[SEG_DS] = &b->ds;
	at[SEG_FS] = &b->fs;
	at[SEG_GS] = &b->gs;
	at[SEG_LDTR] = &b->ldtr;
	at[SEG_TR] = &b->tr;
}

static void load_controls(const struct vcpu *vcpu, struct vmcb *b)
{
	const struct guest_state *s = &vcpu->state;

	b->intercept_dr = I1_DRS;
	b->intercept_exceptions = 1u << EXCEPTION_DB | 1u << EXCEPTION_AC | 1u << EXCEPTION_MC;
	b->intercept3 = I3_INTR | I3_NMI | I3_SMI | I3_INIT | I3_RDPMC | I3_CPUID | I3_INVD |
			I3_HLT | I3_INVLPGA | I3_IO | I3_MSR | I3_SHUTDOWN;
	b->intercept4 = I4_VMRUN | I4_VMMCALL | I4_VMLOAD | I4_VMSAVE | I4_STGI | I4_CLGI |
			I4_SKINIT | I4_RDTSCP | I4_ICEBP | I4_WBINVD | I4_MONITOR | I4_MWAIT |
			I4_XSETBV | I4_RDPRU;
	if (s->nmi_masked)
		b->intercept3 |= I3_IRET;
	if (svm.decode) { /* or nobody could tell what is written; by the manual only */
		b->intercept_cr = I0_CR4_WRITE;
		b->intercept3 |= I3_CR0_SEL_WRITE;
	}
	b->iopm = (uintptr_t)iopm;
	b->msrpm = (uintptr_t)msrpm;
	b->tsc_offset = s->tsc_offset;
	b->asid = vcpu->hw_tag;
	b->v_intr = V_INTR_MASKING | (s->cr8 & 15);
	b->np_enable = NP_ENABLE;
	b->n_cr3 = vcpu_ept(vcpu)->root.v;
	b->interrupt_shadow = s->interruptibility & 3 ? 1 : 0;
	b->event_inject = s->event.info | (uint64_t)s->event.error << 32;
}

void svm_load(struct vcpu *vcpu)
{
	const struct guest_state *s = &vcpu->state;
	struct vmcb *b = direct(vcpu->hw_page);
	struct vmcb_segment *segment[SEGMENTS];

	__builtin_memset(b, 0, sizeof(*b));
	load_controls(vcpu, b);
	each_segment(b, segment);
	for (unsigned int i = 0; i < SEGMENTS; i++)
		*segment[i] = to_segment(&s->seg[i]);
	b->cpl = s->seg[SEG_SS].attributes >> 5 & 3;
	b->gdtr = (struct vmcb_segment){ .limit = s->gdt_limit, .base = s->gdt_base };
	b->idtr = (struct vmcb_segment){ .limit = s->idt_limit, .base = s->idt_base };
	b->efer = s->efer | EFER_SVME; /* VMRUN wants it set (APM vol. 2, "Canonicalization and
					  Consistency Checks") */
	b->cr0 = s->cr0;
	b->cr3 = s->cr3;
	b->cr4 = s->cr4;
	b->dr6 = s->dr6;
	b->dr7 = s->dr7;
	b->rflags = s->rflags;
	b->rip = s->rip;
	b->rsp = s->gpr[RSP];
	b->rax = s->gpr[RAX];
	b->star = s->star;
	b->lstar = s->lstar;
	b->cstar = s->cstar;
	b->fmask = s->fmask;
	b->kernel_gs_base = s->kernel_gs_base;
	b->sysenter_cs = s->sysenter_cs;
	b->sysenter_esp = s->sysenter_esp;
	b->sysenter_eip = s->sysenter_eip;
	b->cr2 = s->cr2;
	b->pat = s->pat;
	svm_flush(vcpu_ept(vcpu));
}

void svm_activate(struct vcpu *vcpu)
{
	struct svm_cpu *c = &svm_cpus[cpu_id()];
	struct vmcb *b = direct(vcpu->hw_page);

	b->tlb_control = TLB_NOTHING; /* svm_run() knows when not */
	c->current = b;
	if (asid_user[vcpu->cpu][vcpu->hw_tag] != vcpu)
		svm_flush(vcpu_ept(vcpu));
	asid_user[vcpu->cpu][vcpu->hw_tag] = vcpu;
	x86_write_cr2(b->cr2);
}

/* VMLOAD and VMSAVE switch the rest, see svm_leave(). CR2 is in the VMCB, too, but Bochs 2.7
 * switches it neither at VMRUN nor at #VMEXIT; root mode leaves it as the guest had it. */
void svm_deactivate(struct vcpu *vcpu)
{
	struct vmcb *b = direct(vcpu->hw_page);

	svm_leave();
	b->cr2 = x86_read_cr2();
	svm_cpus[cpu_id()].current = NULL;
}

/* DR6 and DR7 are the VMCB's. */
void svm_debug(struct vcpu *vcpu, bool own)
{
	struct vmcb *b = direct(vcpu->hw_page);

	vcpu->debug = own;
	b->intercept_dr = own ? 0 : I1_DRS;
	if (own) {
		debug_load(vcpu->state.dr);
		return;
	}
	debug_take(vcpu->state.dr);
	vcpu->state.dr7 = b->dr7;
}

static void save_event(const struct vmcb *b, struct guest_state *s)
{
	s->event.info = (uint32_t)b->event_inject;
	s->event.error = (uint32_t)(b->event_inject >> 32);
	s->interruptibility = (uint32_t)b->interrupt_shadow & 1;
}

static void take_vmcb(struct vmcb *b, struct guest_state *s)
{
	struct vmcb_segment *segment[SEGMENTS];

	each_segment(b, segment);
	for (unsigned int i = 0; i < SEGMENTS; i++)
		s->seg[i] = from_segment(segment[i]);
	s->gdt_base = b->gdtr.base;
	s->gdt_limit = b->gdtr.limit;
	s->idt_base = b->idtr.base;
	s->idt_limit = b->idtr.limit;
	s->efer = b->efer & ~(uint64_t)EFER_SVME;
	s->cr0 = b->cr0;
	s->cr2 = b->cr2;
	s->cr3 = b->cr3;
	s->cr4 = b->cr4;
	s->cr8 = b->v_intr & 15;
	s->dr6 = b->dr6;
	s->dr7 = b->dr7;
	s->rflags = b->rflags;
	s->rip = b->rip;
	s->gpr[RSP] = b->rsp;
	/* gpr[RAX] is newer than the VMCB's: a call may have answered since the exit. */
	s->star = b->star;
	s->lstar = b->lstar;
	s->cstar = b->cstar;
	s->fmask = b->fmask;
	s->kernel_gs_base = b->kernel_gs_base;
	s->sysenter_cs = b->sysenter_cs;
	s->sysenter_esp = b->sysenter_esp;
	s->sysenter_eip = b->sysenter_eip;
	s->pat = b->pat;
	save_event(b, s);
}

void svm_save(struct vcpu *vcpu)
{
	take_vmcb(direct(vcpu->hw_page), &vcpu->state);
}

void svm_peek(const struct vcpu *vcpu, struct guest_state *s)
{
	struct vmcb *b = direct(vcpu->hw_page);

	*s = vcpu->state;
	svm_leave(); /* to have all in the VMCB */
	take_vmcb(b, s);
	if (svm_cpus[cpu_id()].current == b)
		s->cr2 = x86_read_cr2();
}
