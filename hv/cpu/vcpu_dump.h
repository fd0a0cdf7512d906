/* SPDX-License-Identifier: MIT */
/* What a person wants to know of a vCPU. */
#ifndef HV_CPU_VCPU_DUMP_H
#define HV_CPU_VCPU_DUMP_H

#include "hv/cpu/vcpu.h"

/* Prints a vCPU that was stopped for good: its last exit, its registers and segments, the
 * second-stage walk of the address that it touched. Not a panic.
 * @state: vcpu->state, unless the hardware has a newer one: see vendor->peek() */
void print_vcpu(const struct vcpu *vcpu, const struct guest_state *state);

/* Prints the second-stage walk of one address, a line for each level. */
void print_walk(const struct ept *ept, gpa_t at);

/* Panics: prints the current vCPU of this CPU, and the fields of its control structure that matter.
 */
_Noreturn void panic_vcpu(const struct vcpu *vcpu, const char *why);

#endif
