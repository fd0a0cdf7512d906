/* SPDX-License-Identifier: MIT */
/* What a guest asks the platform for: CPUID, MSRs, ports. What is not there answers as hardware
 * answers that lacks it. */
#include "hv/abi.h"
#include "hv/cpu/vcpu.h"
#include "mm/err.h"
#include "mm/x86.h"

/* CPUID 1 ECX and EDX, 7 EBX, 0x80000001 ECX and EDX: features that a guest may have. The others
 * need state that is not switched (XSAVE, MPX, PKU), or devices that are not there (APIC, MTRR,
 * ...). */
#define LEAF1_ECX  0x00d82203u /* SSE3 PCLMUL SSSE3 CX16 SSE4.1 SSE4.2 MOVBE POPCNT */
#define LEAF1_EDX  0x07808171u /* FPU TSC MSR PAE CX8 CMOV MMX FXSR SSE SSE2 */
#define LEAF7_EBX  0x00180381u /* FSGSBASE SMEP ERMS RDSEED ADX */
#define EXT1_ECX   0x00000121u /* LAHF ABM PREFETCHW */
#define EXT1_EDX   0x24100800u /* SYSCALL NX 1 GiB pages, LM */
#define HYPERVISOR (1u << 31)
#define MCE_MCA    (1u << 7 | 1u << 14) /* hv/cpu/mca.c has them */

static struct cpuid filtered(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c = x86_cpuid(leaf, subleaf);

	switch (leaf) {
	case 0:
		c.eax = MIN(c.eax, 7u);
		return c;
	case 1:
		c.ecx = (c.ecx & LEAF1_ECX) | HYPERVISOR;
		c.edx = (c.edx & LEAF1_EDX) | MCE_MCA;
		c.ebx &= 0xff00; /* one CPU, APIC id 0 */
		return c;
	case 7:
		return (struct cpuid){ .ebx = subleaf ? 0 : c.ebx & LEAF7_EBX & ~1u };
	case 0x80000000:
		c.eax = MIN(c.eax, 0x80000008u);
		return c;
	case 0x80000001:
		c.ecx &= EXT1_ECX;
		c.edx &= EXT1_EDX;
		return c;
	case 0x80000007: /* machine checks that can be recovered from */
		return (struct cpuid){ .ebx = vendor->mca->cpuid_ras_ebx };
	case 0x80000002 ... 0x80000004: /* the brand */
	case 0x80000008:                /* address widths */
		return (struct cpuid){ c.eax, c.ebx, c.ecx, c.edx };
	default:
		return (struct cpuid){ 0 };
	}
}

static struct cpuid answer(uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case ABI_CPUID_BASE: /* "CleaveCleave" */
		return (struct cpuid){ ABI_CPUID_BASE + 1, 0x61656c43, 0x6c436576, 0x65766165 };
	case ABI_CPUID_BASE + 1:
		return (struct cpuid){ .eax = vendor->call_abi };
	default:
		return filtered(leaf, subleaf);
	}
}

void emulate_cpuid(struct vcpu *vcpu)
{
	uint64_t *gpr = vcpu->state.gpr;
	struct cpuid c = answer((uint32_t)gpr[RAX], (uint32_t)gpr[RCX]);

	gpr[RAX] = c.eax;
	gpr[RBX] = c.ebx;
	gpr[RCX] = c.ecx;
	gpr[RDX] = c.edx;
}

bool emulate_rdmsr(struct vcpu *vcpu)
{
	uint64_t *gpr = vcpu->state.gpr;
	uint32_t msr = (uint32_t)gpr[RCX];
	uint64_t value;
	int err = vendor->rdmsr(vcpu, msr, &value);

	if (err == -ENOENT)
		err = mca_rdmsr(&vcpu->state.mca, vendor->mca, msr, &value);
	if (err)
		return false;
	gpr[RAX] = (uint32_t)value;
	gpr[RDX] = value >> 32;
	return true;
}

bool emulate_wrmsr(struct vcpu *vcpu)
{
	const uint64_t *gpr = vcpu->state.gpr;
	uint64_t value = (uint32_t)gpr[RAX] | gpr[RDX] << 32;
	uint32_t msr = (uint32_t)gpr[RCX];
	int err = vendor->wrmsr(vcpu, msr, value);

	if (err == -ENOENT)
		err = mca_wrmsr(&vcpu->state.mca, vendor->mca, msr, value);
	return !err;
}

/* No device: reads float high, writes are lost. */
void emulate_io(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	uint64_t mask = exit->size == 4 ? UINT32_MAX : (UINT64_C(1) << 8 * exit->size) - 1;

	if (exit->out)
		return;
	if (exit->size == 4)
		vcpu->state.gpr[RAX] = mask;
	else
		vcpu->state.gpr[RAX] |= mask;
}
