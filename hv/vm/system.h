/* SPDX-License-Identifier: MIT */
/* Running a VM whose guest is a whole system (hv/platform/platform.h): its sleep, its console, its
 * end. For all of these vm->platform is there. */
#ifndef HV_VM_SYSTEM_H
#define HV_VM_SYSTEM_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

#define SYSTEM_POLL_US 2000 /* between two looks at what somebody typed */

/* Does this vCPU wait for an interrupt or a message? */
static inline bool system_sleeps(const struct vcpu *vcpu)
{
	return vcpu->run == VCPU_IDLE || vcpu->run == VCPU_PARKED;
}

/**
 * system_rest() - let this CPU sleep, if all vCPUs that it runs do.
 * @cycles: at most; UINT64_MAX: until a timer of theirs ends, or somebody kicks this CPU
 * Return: false: one of them waits for something else, or the guest is a payload.
 */
bool system_rest(const struct vm *vm, uint64_t cycles);

/* What somebody typed reaches the guest. Boot CPU only; looks at most every SYSTEM_POLL_US. */
void system_poll(struct vm *vm);

/* Has it powered off, been reset, or halted for good? Boot CPU only. */
bool system_over(const struct vm *vm);

/* How it ended, if not by powering off; and what it said of itself. NULL: nothing bad. */
const char *system_casualty(const struct vm *vm);
const char *system_verdict(const struct vm *vm);

#endif
