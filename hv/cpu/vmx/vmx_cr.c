/* SPDX-License-Identifier: MIT */
/*
 * CR0 and CR4 of a guest. It owns the bits that concern it alone; those that VMX fixes, or that
 * would switch on what Cleave does not switch with the vCPU, are kept in the shadow, and writing
 * them exits (SDM vol. 3C, "Guest/Host Masks and Read Shadows for CR0 and CR4").
 */
#include "hv/cpu/vmx/vmx.h"

#include "hv/cpu/control.h"
#include "mm/x86.h"

#define CR0_EM         (1u << 2)
#define CR0_TS         (1u << 3)
#define CR0_NW         (1u << 29)
#define CR0_CD         (1u << 30)
#define CR0_GUEST_OWNS ((uint64_t)(CR0_MP | CR0_EM | CR0_TS))

#define CR4_PSE (1u << 4)
#define CR4_TSD (1u << 2)
#define CR4_PCE (1u << 8)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_GUEST_OWNS                                                                             \
	((uint64_t)(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PCE | CR4_PGE |           \
		    CR4_OSFXSR | CR4_OSXMMEXCPT))

uint64_t vmx_get_cr0(void)
{
	return (vmread(VMCS_GUEST_CR0) & CR0_GUEST_OWNS) |
	       (vmread(VMCS_CR0_SHADOW) & ~CR0_GUEST_OWNS);
}

uint64_t vmx_get_cr4(void)
{
	return (vmread(VMCS_GUEST_CR4) & CR4_GUEST_OWNS) |
	       (vmread(VMCS_CR4_SHADOW) & ~CR4_GUEST_OWNS);
}

static void write_cr0(uint64_t value)
{
	uint64_t must = vmx.cr0_fixed0;

	if (vmx.unrestricted)
		must &= ~(uint64_t)(CR0_PE | CR0_PG);
	vmwrite(VMCS_CR0_SHADOW, value);
	vmwrite(VMCS_GUEST_CR0, ((value & ~(uint64_t)(CR0_NW | CR0_CD)) | must) & vmx.cr0_fixed1);
}

static void write_cr4(uint64_t value)
{
	vmwrite(VMCS_CR4_SHADOW, value);
	vmwrite(VMCS_GUEST_CR4, (value | vmx.cr4_fixed0) & vmx.cr4_fixed1);
}

void vmx_load_crs(const struct guest_state *s)
{
	vmwrite(VMCS_CR0_MASK, ~CR0_GUEST_OWNS);
	vmwrite(VMCS_CR4_MASK, ~CR4_GUEST_OWNS);
	write_cr0(s->cr0);
	write_cr4(s->cr4);
}

struct control vmx_control(const struct vcpu *vcpu)
{
	return (struct control){
		.cr0 = vmx_get_cr0(),
		.cr4 = vmx_get_cr4(),
		.efer = vcpu->state.efer,
		.code_64 = vmread(VMCS_GUEST_ES_ATTR + 2 * SEG_CS) & ATTR_LONG,
		.xsave = vcpu_has_xsave(vcpu),
	};
}

/* The entry control says again what EFER.LMA says (SDM vol. 3C, "Checks on Guest Control Registers,
 * Debug Registers, and MSRs"). */
static void write_efer(struct vcpu *vcpu, uint64_t efer)
{
	vcpu->state.efer = efer;
	vmwrite(VMCS_GUEST_EFER, efer);
	vmwrite(VMCS_ENTRYC, vmx.entry | (efer & EFER_LMA ? ENTRYC_GUEST_64 : 0));
}

/* The CPU's own MOV would have forgotten translations that these bits govern. */
static void forget_translations(const struct vcpu *vcpu)
{
	if (vmx.vpid)
		invvpid(INVVPID_SINGLE, (uint16_t)vcpu->hw_tag);
}

static bool set_cr0(struct vcpu *vcpu, uint64_t value)
{
	struct control c = vmx_control(vcpu);

	if (!control_set_cr0(&c, value))
		return false;
	if (!vmx.unrestricted && (c.cr0 & (CR0_PG | CR0_PE)) != (CR0_PG | CR0_PE))
		return false;
	write_cr0(c.cr0);
	if (c.efer != vcpu->state.efer)
		write_efer(vcpu, c.efer);
	forget_translations(vcpu);
	return true;
}

static bool set_cr4(struct vcpu *vcpu, uint64_t value)
{
	struct control c = vmx_control(vcpu);

	if (!control_set_cr4(&c, value))
		return false;
	write_cr4(c.cr4);
	forget_translations(vcpu);
	return true;
}

/* MOV to CRn, the value in `value`. False: #GP. */
static bool mov_to_cr(struct vcpu *vcpu, unsigned int cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return set_cr0(vcpu, value);
	case 4:
		return set_cr4(vcpu, value);
	case 8:
		if (value > 15)
			return false;
		vcpu->state.cr8 = value; /* vcpu_answer() looks at each entry what that lets in */
		return true;
	default:
		return false;
	}
}

/* SDM vol. 3C, "Exit Qualification for Control-Register Accesses". */
bool vmx_cr_access(struct vcpu *vcpu)
{
	enum {
		MOV_TO,
		MOV_FROM,
		CLTS,
		LMSW
	};
	uint64_t q = vmread(VMCS_QUALIFICATION);
	unsigned int cr = q & 15, reg = q >> 8 & 15;
	bool ok = true;

	vcpu->state.gpr[RSP] = vmread(VMCS_GUEST_RSP);
	switch (q >> 4 & 3) {
	case MOV_TO:
		ok = mov_to_cr(vcpu, cr, vcpu->state.gpr[reg]);
		break;
	case MOV_FROM: /* only CR8 exits on reads */
		if (reg == RSP)
			vmwrite(VMCS_GUEST_RSP, vcpu->state.cr8);
		else
			vcpu->state.gpr[reg] = vcpu->state.cr8;
		break;
	case CLTS:
		ok = set_cr0(vcpu, vmx_get_cr0() & ~(uint64_t)CR0_TS);
		break;
	default: /* LMSW: the low four bits, and PE cannot be cleared */
		ok = set_cr0(vcpu, (vmx_get_cr0() & ~UINT64_C(0xe)) | (q >> 16 & 0xf));
		break;
	}
	return ok;
}
