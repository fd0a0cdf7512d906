/* SPDX-License-Identifier: MIT */
/* Exceptions in a payload: each ends the run with ABI_WRONG_TRAP, unless somebody waits for it. */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include <stdbool.h>
#include <stdint.h>

#define TRAP_VECTORS 32

enum {
	TRAP_DE = 0,
	TRAP_DB = 1,
	TRAP_BP = 3,
	TRAP_UD = 6,
	TRAP_GP = 13,
	TRAP_PF = 14,
	TRAP_AC = 17,
	TRAP_MC = 18,
};

/* As guest/start/entry.asm pushes it. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 where the vector has none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Who waits for a vector. May change the frame; returns true if what was interrupted shall go on
 * as the frame says, false if it was not meant. Set before the exception can come; all vCPUs share
 * the table. */
extern bool (*trap_hook[TRAP_VECTORS])(struct trap_frame *frame);

/* Called by guest/start/entry.asm. */
void trap(struct trap_frame *frame);

#endif
