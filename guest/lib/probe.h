/* SPDX-License-Identifier: MIT */
/*
 * Trying an instruction that should raise an exception, and going on behind it. One vCPU at a time.
 *
 *	PROBE("rdmsr", : : "c"(msr) : "rax", "rdx", "memory");
 *	if (!probe_raised("rdmsr", TRAP_GP, 0)) ...
 */
#ifndef GUEST_PROBE_H
#define GUEST_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/trap.h"

extern uint64_t probe_resume; /* where to go on after an exception; 0: none is expected */

/* Operands are as in asm(), from the first colon on; "memory" must be among the clobbers. Outputs
 * are "+": the instruction may not get so far as to write them. Not for instructions that move the
 * stack pointer before they fault. */
#define PROBE(instruction, ...)                                                                    \
	asm volatile("movq $77f, probe_resume\n\t" instruction "\n77:" __VA_ARGS__)

/* Takes all exceptions from now on. */
void probe_init(void);

/* Says on the console what the last PROBE() did. True if it was this exception. */
bool probe_raised(const char *what, uint64_t vector, uint64_t error);

/* What the last PROBE() raised, said to nobody; -1: nothing. */
int probe_vector(void);

/* Error code of the last exception. */
uint64_t probe_error(void);

/* CR2 at the last exception. */
uint64_t probe_fault_address(void);

/* Says on the console what was found where what was expected. True if they are equal. */
bool probe_equal(const char *what, uint64_t found, uint64_t expected);

#endif
