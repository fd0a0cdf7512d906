/* SPDX-License-Identifier: MIT */
/*
 * x87, XMM and YMM of a vCPU, and XCR0, which says what of it the guest has switched on. Root mode
 * uses none of it, so the registers stay a vCPU's until another one takes its turn.
 */
#ifndef HV_XSTATE_H
#define HV_XSTATE_H

#include "mm/types.h"

#define XCR0_X87 1u
#define XCR0_SSE 2u
#define XCR0_AVX 4u

#define XSTATE_BYTES 832 /* FXSAVE's image 512, XSAVE's header 64, the upper halves of YMM 256 */

struct xstate {
	uint64_t xcr0;
	uint8_t image[XSTATE_BYTES] __attribute__((aligned(64))); /* XSAVE's standard format */
};

/* On each CPU, once. @unseen: a guest may write XCR0 and CR4 without an exit */
void xstate_enable(bool unseen);

/* Components that a guest may switch on, as XCR0 has them; 0: this CPU has no XSAVE. */
uint64_t xstate_components(void);

/* After a reset. @visible: the guest is told of XSAVE. To one that is not, and cannot set
 * CR4.OSXSAVE, XCR0 is of no use: it is what a load needs, and so need not be written at each
 * switch. */
void xstate_reset(struct xstate *x, bool visible);

/* Takes what this CPU holds; puts it back, and nothing of anybody else's beside it. */
void xstate_save(struct xstate *x);
void xstate_load(const struct xstate *x);

/* XCR0 of the guest whose registers this CPU holds. */
uint64_t xstate_xcr0(const struct xstate *x);

/* XSETBV by the guest whose registers this CPU holds. False: raise #GP. */
bool must_check xstate_set_xcr0(struct xstate *x, uint32_t index, uint64_t value);

#endif
