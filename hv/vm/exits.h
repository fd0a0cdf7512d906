/* SPDX-License-Identifier: MIT */
/* What a VM's vCPUs exited for, as `perf kvm stat` counts it. */
#ifndef HV_VM_EXITS_H
#define HV_VM_EXITS_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

struct exits {
	uint64_t by[EXIT_REASONS];
	uint64_t all, interrupts; /* `interrupts` were delivered to the guest */
};

/* All vCPUs together, since they were made. While they run, a little of this and that moment. */
void exits_of(const struct vm *vm, struct exits *exits);

/* In one word, for programs and for people. */
const char *exit_name(enum exit_reason reason);

#endif
