/* SPDX-License-Identifier: MIT */
/* What a foreign state may hold. See hv/vm/state.h. */
#include "hv/vm/state.h"

/* In XSAVE's image (SDM vol. 1, "XSAVE Area"). */
#define MXCSR_AT           24
#define MXCSR_BITS         0xffffu
#define HEADER_AT          512
#define HEADER_RESERVED_AT (HEADER_AT + 8)
#define HEADER_END         576

static bool is_canonical(uint64_t va)
{
	return va + (UINT64_C(1) << 47) < UINT64_C(1) << 48;
}

/* XSETBV and XRSTOR raise #GP for these, in root mode. */
static const char *check_xstate(const struct xstate *x, uint64_t components)
{
	uint64_t in_image;
	uint32_t mxcsr;

	__builtin_memcpy(&mxcsr, x->image + MXCSR_AT, sizeof(mxcsr));
	__builtin_memcpy(&in_image, x->image + HEADER_AT, sizeof(in_image));
	if (mxcsr & ~MXCSR_BITS)
		return "MXCSR has bits that do not exist";
	if (!components)
		return x->xcr0 & ~(uint64_t)XCR0_X87 ? "XCR0 needs XSAVE" : NULL;
	if (x->xcr0 & ~components || !(x->xcr0 & XCR0_X87) ||
	    (x->xcr0 & XCR0_AVX && !(x->xcr0 & XCR0_SSE)))
		return "XCR0 has components that this CPU lacks";
	if (in_image & ~components)
		return "the vector registers have components that this CPU lacks";
	for (unsigned int i = HEADER_RESERVED_AT; i < HEADER_END; i++)
		if (x->image[i])
			return "XSAVE's header has reserved bytes";
	return NULL;
}

/* WRMSR and MOV to a debug register raise #GP for these, in root mode. */
static const char *check_registers(const struct guest_state *s)
{
	if (!is_canonical(s->lstar) || !is_canonical(s->cstar) || !is_canonical(s->kernel_gs_base))
		return "an MSR holds an address that is none";
	if (s->fmask >> 32)
		return "FMASK has bits that do not exist";
	if (s->dr6 >> 32 || s->dr7 >> 32)
		return "a debug register has bits that do not exist";
	return s->cr8 > 15 ? "CR8 is above 15" : NULL;
}

const char *guest_state_check(const struct guest_state *s, unsigned int index, uint64_t components)
{
	const char *why = check_registers(s);

	if (!why)
		why = check_xstate(&s->xstate, components);
	if (!why && s->lapic.id != index)
		why = "an APIC's ID is not its vCPU's";
	return why;
}

const char *uart_check(const struct uart *uart)
{
	return uart->bytes > UART_QUEUE || uart->first >= UART_QUEUE
		       ? "the serial port's queue has no such place"
		       : NULL;
}
