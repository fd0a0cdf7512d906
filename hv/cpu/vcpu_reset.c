/* SPDX-License-Identifier: MIT */
/* The states in which vCPUs begin. See hv/cpu/vcpu.h. */
#include "hv/cpu/vcpu.h"
#include "mm/x86.h"

#define SEL_FLAT_CODE 0x08
#define SEL_FLAT_DATA 0x10
#define PAT_RESET     UINT64_C(0x0007040600070406)
#define ATTR_CODE_64  0xa09b
#define ATTR_DATA     0xc093
#define ATTR_TSS_BUSY 0x008b
#define ATTR_LDT      0x0082
#define ATTR_CODE_16  0x009b
#define ATTR_DATA_16  0x0093
#define SEL_BOOT_CODE 0x10
#define SEL_BOOT_DATA 0x18
#define CR0_RESET     0x60000010
#define DR6_RESET     0xffff0ff0
#define DR7_RESET     0x400

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
		.dr6 = DR6_RESET,
		.dr7 = DR7_RESET,
		.mca = MCA_RESET,
	};
	s->gpr[RSP] = stack;
	for (unsigned int i = SEG_ES; i <= SEG_GS; i++)
		s->seg[i] = data;
	s->seg[SEG_CS].selector = SEL_FLAT_CODE;
	s->seg[SEG_CS].attributes = ATTR_CODE_64;
	s->seg[SEG_LDTR] = (struct segment_state){ .attributes = ATTR_UNUSABLE };
	s->seg[SEG_TR] = (struct segment_state){ .attributes = ATTR_TSS_BUSY, .limit = 0x67 };
	xstate_reset(&s->xstate, vcpu->system);
}

void vcpu_reset_boot(struct vcpu *vcpu, const struct vcpu_boot *boot)
{
	struct guest_state *s = &vcpu->state;

	vcpu_reset(vcpu, boot->entry, boot->cr3, boot->stack);
	s->gpr[RSI] = boot->info;
	s->gdt_base = boot->gdt;
	s->gdt_limit = boot->gdt_limit;
	for (unsigned int i = SEG_ES; i <= SEG_GS; i++)
		s->seg[i].selector = i == SEG_CS ? SEL_BOOT_CODE : SEL_BOOT_DATA;
	lapic_reset(&s->lapic, vcpu->index);
	platform_msrs_reset(&s->msrs);
	vcpu->run = VCPU_RUNNING;
}

/* What INIT leaves: x87 and vector registers, XCR0, PAT, the TSC, machine checks, MTRRs. */
void vcpu_park(struct vcpu *vcpu)
{
	struct guest_state *s = &vcpu->state;
	struct segment_state flat = { .attributes = ATTR_DATA_16, .limit = UINT16_MAX };
	uint64_t keep[] = { s->pat, s->tsc_offset, s->msrs.mtrr_default };

	__builtin_memset(s, 0, offsetof(struct guest_state, mca));
	s->pat = keep[0];
	s->tsc_offset = keep[1];
	s->msrs.mtrr_default = keep[2];
	s->rflags = 2;
	s->cr0 = CR0_RESET;
	s->dr6 = DR6_RESET;
	s->dr7 = DR7_RESET;
	for (unsigned int i = SEG_ES; i <= SEG_GS; i++)
		s->seg[i] = flat;
	s->seg[SEG_CS].attributes = ATTR_CODE_16;
	s->seg[SEG_LDTR] = flat;
	s->seg[SEG_LDTR].attributes = ATTR_LDT;
	s->seg[SEG_TR] = flat;
	s->seg[SEG_TR].attributes = ATTR_TSS_BUSY;
	s->gdt_limit = s->idt_limit = UINT16_MAX;
	s->nmi_masked = 0;
	lapic_reset(&s->lapic, vcpu->index);
	vcpu->timer_at = 0;
	vcpu->run = VCPU_PARKED;
}

void vcpu_start_at(struct vcpu *vcpu, unsigned int page)
{
	struct segment_state *cs = &vcpu->state.seg[SEG_CS];

	cs->selector = (uint16_t)(page << 8);
	cs->base = (uint64_t)page << 12;
	vcpu->state.rip = 0;
}
