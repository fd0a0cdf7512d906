/* SPDX-License-Identifier: MIT */
/*
 * The log of what the hardware sets dirty bits for (SDM vol. 3C, "Page-Modification Logging"): 512
 * addresses in a page, filled from the end. The index says which one comes next; below 0 it is
 * full, and the next write exits before it is made.
 */
#include "hv/cpu/vmx/vmx.h"

#include "mm/machine.h"

#define PML_ENTRIES 512u
#define PML_LAST    (PML_ENTRIES - 1)

bool vmx_has_log(void)
{
	return vmx.pml;
}

void vmx_log(struct vcpu *vcpu, bool on)
{
	if (on) {
		vmwrite(VMCS_PML_ADDRESS, vcpu->hw_log.v);
		vmwrite(VMCS_PML_INDEX, PML_LAST);
	}
	vmwrite(VMCS_CPU2, on ? vmx.cpu2 | CPU2_PML : vmx.cpu2);
}

void vmx_drain(struct vcpu *vcpu)
{
	uint16_t next = (uint16_t)vmread(VMCS_PML_INDEX);
	const uint64_t *log = direct(vcpu->hw_log);

	if (next == PML_LAST)
		return;
	for (unsigned int i = next > PML_LAST ? 0 : next + 1u; i < PML_ENTRIES; i++)
		mem_note_dirty(vcpu->mem, log[i] >> PAGE_SHIFT, 1);
	vmwrite(VMCS_PML_INDEX, PML_LAST);
}
