/* SPDX-License-Identifier: MIT */
/* Per-CPU data of the machine: GS base points to it in root mode. */
#ifndef MM_PERCPU_H
#define MM_PERCPU_H

#include "mm/types.h"

struct cpu {
	struct cpu *self; /* at offset 0: see this_cpu() */
	unsigned int id;  /* 0: the boot CPU; dense */
	uint32_t apic_id;
	uintptr_t stack_top; /* of its main stack */
	uintptr_t gdt;       /* what a VM exit must restore: */
	uintptr_t tss;
	uintptr_t idt;
};

extern struct cpu cpus[MAX_CPUS];
extern unsigned int ncpus; /* that run */

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	/* Not volatile: a CPU's own pointer never changes. */
	__asm__("mov %%gs:0, %0" : "=r"(c));
	return c;
}

static inline unsigned int cpu_id(void)
{
	return this_cpu()->id;
}

#endif
