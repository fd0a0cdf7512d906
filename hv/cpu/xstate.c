/* SPDX-License-Identifier: MIT */
/*
 * x87, XMM, YMM and XCR0. See hv/cpu/xstate.h.
 *
 * What else XSAVE knows of (AVX-512, PKRU and so on) is not told to guests, and where XSETBV exits
 * they cannot switch it on. Where it does not (QEMU 7.2's SVM), and nobody sees what a guest writes
 * to CR4, all of it is put back to its initial values before a vCPU takes its turn: a guest that
 * uses it all the same may lose it at any time, and shows it to nobody.
 */
#include "hv/cpu/xstate.h"

#include "mm/x86.h"

#define CPUID_XSAVE (1u << 26) /* leaf 1 ECX */
#define CPUID_STATE 0xd        /* EDX:EAX: what XCR0 may have */
#define TOLD        ((uint64_t)(XCR0_X87 | XCR0_SSE | XCR0_AVX))

#define FX_CONTROL 0x037f /* x87 control word after FNINIT */
#define FX_MXCSR   0x1f80
#define XSTATE_BV  512 /* offset in the image: the components that are in it */

static uint64_t told; /* 0: no XSAVE */
static uint64_t all;  /* what a load must reach */
static bool seen;     /* by us: XSETBV, and MOV to CR4 for CR4.OSXSAVE, exit */

/* To a hypervisor below us each write is an exit, a read is none. */
static void set_xcr0(uint64_t value)
{
	if (x86_xgetbv() != value)
		x86_xsetbv(value);
}

void xstate_enable(bool unseen)
{
	struct cpuid c = x86_cpuid(CPUID_STATE, 0);

	if (!(x86_cpuid(1, 0).ecx & CPUID_XSAVE))
		return;
	x86_write_cr4(x86_read_cr4() | CR4_OSXSAVE);
	seen = !unseen;
	told = c.eax & TOLD;
	all = unseen ? c.eax | (uint64_t)c.edx << 32 : told;
}

uint64_t xstate_components(void)
{
	return told;
}

void xstate_reset(struct xstate *x, bool visible)
{
	*x = (struct xstate){ .xcr0 = told && seen && !visible ? told : XCR0_X87 };
	x->image[0] = FX_CONTROL & 0xff;
	x->image[1] = FX_CONTROL >> 8;
	x->image[24] = FX_MXCSR & 0xff;
	x->image[25] = FX_MXCSR >> 8;
	x->image[XSTATE_BV] = XCR0_X87 | XCR0_SSE;
}

/* Saves what a guest has switched off, too: it keeps its value. */
void xstate_save(struct xstate *x)
{
	if (!told) {
		x86_fxsave(x->image);
		return;
	}
	x->xcr0 = x86_xgetbv();
	set_xcr0(all);
	x86_xsave(x->image, told);
}

/*
 * Components that the image does not have get their initial values (APM vol. 4, "XRSTOR"; SDM vol.
 * 1, "Operation of XRSTOR"). On AMD's CPUs the last instruction, operand and opcode of the x87 stay
 * as they are unless an exception is pending: FNINIT clears what another guest left (APM vol. 2,
 * "FXSAVE and FXRSTOR Instructions").
 */
void xstate_load(const struct xstate *x)
{
	if (!told) {
		x86_fxrstor(x->image);
		return;
	}
	set_xcr0(all);
	x86_xrstor(x->image);
	set_xcr0(x->xcr0);
}

/* Where XSETBV does not exit, only the CPU knows. */
uint64_t xstate_xcr0(const struct xstate *x)
{
	return told ? x86_xgetbv() : x->xcr0;
}

/* x87 is always on, and AVX goes with SSE (SDM vol. 1, "Enabling the XSAVE Feature Set and XSAVE-
 * Enabled Features"). */
bool xstate_set_xcr0(struct xstate *x, uint32_t index, uint64_t value)
{
	if (index || value & ~told || !(value & XCR0_X87) ||
	    (value & XCR0_AVX && !(value & XCR0_SSE)))
		return false;
	x->xcr0 = value;
	set_xcr0(value);
	return true;
}
