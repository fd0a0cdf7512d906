/* SPDX-License-Identifier: MIT */
/* Printing a vCPU for people. */
#ifndef HV_CPU_VCPU_DUMP_H
#define HV_CPU_VCPU_DUMP_H

#include "hv/cpu/vcpu.h"

/* Prints a vCPU that is stopped for good: its last exit, its registers and segments, the
 * second-stage walk of the address that it touched. Does not panic.
 * @state: vcpu->state, or the hardware's newer one: see vendor->peek() */
void print_vcpu(const struct vcpu *vcpu, const struct guest_state *state);

/* Prints the second-stage walk of one address, a line for each level. */
void print_walk(const struct ept *ept, gpa_t at);

/* Prints the current vCPU of this CPU and the main fields of its control structure, and panics. */
_Noreturn void panic_vcpu(const struct vcpu *vcpu, const char *why);

#endif
