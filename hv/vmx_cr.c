/* SPDX-License-Identifier: MIT */
/*
 * CR0 and CR4 of a guest. It owns the bits that concern it alone; those that VMX fixes, or that
 * would switch on what Cleave does not switch with the vCPU, are kept in the shadow, and writing
 * them exits (SDM vol. 3C, "Guest/Host Masks and Read Shadows for CR0 and CR4").
 */
#include "hv/vmx.h"

#include "mm/x86.h"

#define CR0_MP         (1u << 1)
#define CR0_EM         (1u << 2)
#define CR0_TS         (1u << 3)
#define CR0_NW         (1u << 29)
#define CR0_CD         (1u << 30)
#define CR0_GUEST_OWNS ((uint64_t)(CR0_MP | CR0_EM | CR0_TS))
#define CR0_DEFINED    UINT64_C(0xe005003f)

#define CR4_DE  (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_TSD (1u << 2)
#define CR4_PCE (1u << 8)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_MCE (1u << 6)
#define CR4_GUEST_OWNS                                                                             \
	((uint64_t)(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PCE | CR4_PGE |           \
		    CR4_OSFXSR | CR4_OSXMMEXCPT))
/* What emulate_cpuid() tells guests of, and what they may set therefore. */
#define CR4_ALLOWED (CR4_GUEST_OWNS | CR4_PAE | CR4_MCE | CR4_SMEP | CR4_SMAP)

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

/* Long mode begins and ends with paging (SDM vol. 3A, "Initializing IA-32e Mode"). */
static void follow_paging(bool paging)
{
	uint64_t efer = vmread(VMCS_GUEST_EFER), entry = vmread(VMCS_ENTRYC);
	bool lma = paging && (efer & EFER_LME);

	vmwrite(VMCS_GUEST_EFER, lma ? efer | EFER_LMA : efer & ~(uint64_t)EFER_LMA);
	vmwrite(VMCS_ENTRYC, lma ? entry | ENTRYC_GUEST_64 : entry & ~(uint64_t)ENTRYC_GUEST_64);
}

bool vmx_set_cr0(uint64_t value)
{
	uint64_t pae = vmx_get_cr4() & CR4_PAE;
	uint64_t lme = vmread(VMCS_GUEST_EFER) & EFER_LME;

	if (value & ~UINT64_C(0xffffffff))
		return false;
	value &= CR0_DEFINED;
	if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return false;
	if (value & CR0_PG && lme && !pae)
		return false;
	if (!vmx.unrestricted && (value & (CR0_PG | CR0_PE)) != (CR0_PG | CR0_PE))
		return false;
	if ((value ^ vmx_get_cr0()) & CR0_PG)
		follow_paging(value & CR0_PG);
	write_cr0(value);
	return true;
}

bool vmx_set_cr4(uint64_t value)
{
	bool long_mode = vmread(VMCS_GUEST_EFER) & EFER_LMA;

	if (value & ~CR4_ALLOWED || (long_mode && !(value & CR4_PAE)))
		return false;
	write_cr4(value);
	return true;
}

/* MOV to CRn, the value in `value`. False: #GP. */
static bool mov_to_cr(struct vcpu *vcpu, unsigned int cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return vmx_set_cr0(value);
	case 4:
		return vmx_set_cr4(value);
	case 8:
		if (value > 15)
			return false;
		vcpu->state.cr8 = value;
		return true;
	default:
		return false;
	}
}

/* SDM vol. 3C, "Exit Qualification for Control-Register Accesses". */
enum exit_reason vmx_cr_access(struct vcpu *vcpu)
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
		ok = vmx_set_cr0(vmx_get_cr0() & ~(uint64_t)CR0_TS);
		break;
	default: /* LMSW: the low four bits, and PE cannot be cleared */
		ok = vmx_set_cr0((vmx_get_cr0() & ~UINT64_C(0xe)) | (q >> 16 & 0xf));
		break;
	}
	if (!ok)
		return EXIT_CR;
	vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + vmread(VMCS_LENGTH));
	return EXIT_RETRY;
}
