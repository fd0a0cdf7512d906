/* SPDX-License-Identifier: MIT */
/*
 * Code at CPL 3, or in compatibility mode, until its first exception. One vCPU at a time. Code for
 * CPL 3 lies in the window (guest/lib/window.h).
 */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include "guest/lib/guest.h"

#define USER_DS 0x1b
#define USER_CS 0x23
#define CS_32   0x38 /* at CPL 0 */

/* guest/test/bad/leave.asm knows the order. */
struct user_state {
	uint64_t rax, rdi, rsi, rdx;
	uint64_t ss, rsp, rflags, cs, rip;
};

/* Where it ended. */
struct user_end {
	uint64_t vector, error, rip, rax;
};

/* Before the first run: segments, and a stack for the exceptions of CPL 3, whose top it returns.
 * The gates' IST1 is the same. */
uint64_t *user_init(void);

struct user_end user_run(const struct user_state *from);

/* The hypervisors' calls in 32-bit code, and UD2 behind them. */
void compatible_vmcall(void);
void compatible_vmmcall(void);

#endif
