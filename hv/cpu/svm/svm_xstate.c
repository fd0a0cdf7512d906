/* SPDX-License-Identifier: MIT */
/*
 * What XSAVE knows of beside the image of FXSAVE: the upper halves of YMM, PKRU and so on, and XCR0
 * itself. A guest is not told of XSAVE, and where the CPU has decode assists it cannot switch it on
 * (hv/cpu/control.h). Elsewhere nobody sees what it writes to CR4; QEMU 7.2 does not exit on XSETBV
 * either. So whatever the CPU has of this is put back to its initial values before a vCPU takes its
 * turn: one that uses it all the same may lose it at any time, and shows it to nobody.
 */
#include "hv/cpu/svm/svm.h"

#include "mm/x86.h"

#define CPUID_XSAVE (1u << 26) /* leaf 1 ECX */
#define CPUID_STATE 0xd        /* EDX:EAX: what XCR0 may have */
#define XCR0_X87    1
#define XSTATE_MIN  576 /* FXSAVE's image and XSAVE's header */
#define MXCSR_RESET 0x1f80

static uint64_t components; /* 0: there is nothing to forget */

static void set_xcr0(uint64_t value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

void svm_xstate_enable(void)
{
	struct cpuid c = x86_cpuid(CPUID_STATE, 0);

	if (!(x86_cpuid(1, 0).ecx & CPUID_XSAVE))
		return;
	x86_write_cr4(x86_read_cr4() | CR4_OSXSAVE);
	components = c.eax | (uint64_t)c.edx << 32;
}

/* XRSTOR initializes what the header says is not in the image: everything (APM vol. 4, "XRSTOR").
 * MXCSR alone is loaded. XCR0 must have a component to reach it. */
void svm_xstate_forget(void)
{
	static const struct {
		uint32_t control[6], mxcsr, rest[(XSTATE_MIN - 7 * 4) / 4];
	} nothing __attribute__((aligned(64))) = { .mxcsr = MXCSR_RESET };

	if (!components)
		return;
	set_xcr0(components);
	__asm__ volatile("xrstor64 %0" : : "m"(nothing), "a"(UINT32_MAX), "d"(UINT32_MAX));
	set_xcr0(XCR0_X87);
}
