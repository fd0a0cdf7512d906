/* SPDX-License-Identifier: MIT */
/* Running a VM's vCPUs on the CPUs. */
#ifndef HV_VM_RUN_H
#define HV_VM_RUN_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

#define SLICE_US 1000 /* of a vCPU that shares its CPU */

/* Lets the other CPUs run the vCPUs that are theirs; with one CPU, vm_turn() does. */
void vm_start(struct vm *vm);

/* Stops all vCPUs and saves their state. */
void vm_stop(struct vm *vm);

/* Gives each vCPU of this CPU its turn. False: none could run. */
bool vm_turn(struct vm *vm);

/* One round of a loop on the boot CPU that waits for a VM: acknowledge flushes, and with one CPU
 * give its vCPUs their turn. */
void vm_wait(struct vm *vm);

/* All vCPUs are over with. */
bool vm_over(const struct vm *vm);
bool vm_all_ready(const struct vm *vm);

/* Why a vCPU cannot go on, after a line that says which; or NULL. */
const char *vm_casualty(const struct vm *vm);

/* What the guest says of its own data, all vCPUs being over with. NULL: it was all right, and each
 * vCPU has looked at some. */
const char *vm_verdict(const struct vm *vm);

#endif
