/* SPDX-License-Identifier: MIT */
/* The hypervisor's entries, for boot/. None returns but hv_trap(). */
#ifndef HV_HV_H
#define HV_HV_H

#include "hv/config/boot_info.h"

/* What an exception or interrupt pushed, and what boot/bringup/isr.asm added. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 where the vector has none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* On the boot CPU: own page tables, descriptors and stack, all other CPUs in hv_cpu_main(). */
_Noreturn void hv_main(struct boot_info *info);

/* On each other CPU, likewise. */
_Noreturn void hv_cpu_main(void);

/* Every exception and interrupt taken in root mode. Returning resumes what was interrupted. */
void hv_trap(struct trap_frame *frame);

#endif
