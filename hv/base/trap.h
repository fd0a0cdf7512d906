/* SPDX-License-Identifier: MIT */
/* The stack frame of an exception or interrupt in root mode: boot/ pushes the first part. */
#ifndef HV_BASE_TRAP_H
#define HV_BASE_TRAP_H

#include "mm/types.h"

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 where the vector has none */
	uint64_t rip, cs, rflags, rsp, ss;
};

#endif
