/* SPDX-License-Identifier: MIT */
/* The end of the machine when something that must hold does not. */
#ifndef HV_PANIC_H
#define HV_PANIC_H

#include "hv/hv.h"
#include "hv/cpu/vcpu.h"

/* Where the image was loaded: addresses in it are also said relative to this, as the symbols of
 * build/cleave.so are. */
extern uint64_t panic_image_base;

/* Each prints what it knows (registers, the control structure's fields that matter, the
 * second-stage walk of the faulting address, the tail of the trace), stops all CPUs and ends with
 * FAIL. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_trap(const struct trap_frame *frame);
_Noreturn void panic_vcpu(const struct vcpu *vcpu, const struct vcpu_exit *exit, const char *why);

/* On an NMI: is this CPU being stopped by another one's panic? */
bool panic_elsewhere(void);

/* What a person wants to know of a vCPU that was stopped for good. Not a panic. */
void print_vcpu(const struct vcpu *vcpu);

/* The second-stage walk of one address, a line for each level. */
void print_walk(const struct ept *ept, gpa_t at);

#endif
