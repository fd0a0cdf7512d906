/* SPDX-License-Identifier: MIT */
/* What a guest asks the platform for: CPUID, MSRs, ports. A missing feature answers as hardware
 * without it does. */
#include "hv/abi.h"
#include "hv/cpu/cpuid.h"
#include "hv/cpu/vcpu.h"
#include "mm/err.h"
#include "mm/x86.h"

static struct cpuid answer(uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case ABI_CPUID_BASE: /* "CleaveCleave" */
		return (struct cpuid){ ABI_CPUID_BASE + 1, 0x61656c43, 0x6c436576, 0x65766165 };
	case ABI_CPUID_BASE + 1:
		return (struct cpuid){ .eax = vendor->call_abi };
	default:
		return cpuid_tell(leaf, subleaf, x86_cpuid(leaf, subleaf),
				  vendor->mca->cpuid_ras_ebx);
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
