/* SPDX-License-Identifier: MIT */
/* Choosing the vendor's code by what the CPU offers. */
#include "hv/cpu/vendor.h"

#include "hv/base/console.h"
#include "mm/err.h"
#include "mm/x86.h"

const struct vendor *vendor;

#define CPUID_VMX (1u << 5) /* leaf 1, ECX */
#define CPUID_SVM (1u << 2) /* leaf 0x80000001, ECX */

int vendor_init(void)
{
	if (x86_cpuid(1, 0).ecx & CPUID_VMX) {
		vendor = &vendor_vmx;
	} else if (x86_cpuid(0x80000001, 0).ecx & CPUID_SVM) {
		vendor = &vendor_svm;
	} else {
		con_printf(
			"cleave: this CPU has no VMX and no SVM: Cleave needs Intel's VMX with EPT or "
			"AMD's SVM with nested paging, or an emulator that has them (QEMU: -cpu "
			"EPYC,+svm,+npt; Bochs: a model with VMX)\n");
		return -ENODEV;
	}
	return vendor->probe();
}
