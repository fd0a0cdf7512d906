/* SPDX-License-Identifier: MIT */
/* Choosing the vendor's code by what the CPU offers. */
#include "hv/vendor.h"

#include "hv/console.h"
#include "mm/err.h"
#include "mm/x86.h"

const struct vendor *vendor;

#define CPUID_VMX (1u << 5) /* leaf 1, ECX */

int vendor_init(void)
{
	if (!(x86_cpuid(1, 0).ecx & CPUID_VMX)) {
		con_printf(
			"cleave: this CPU has no VMX: Cleave needs an Intel CPU with VMX and EPT, "
			"or an emulator that has them (Bochs)\n");
		return -ENODEV;
	}
	vendor = &vendor_vmx;
	return vendor->probe();
}
