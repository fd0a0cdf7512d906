/* SPDX-License-Identifier: MIT */
/* Running a VM's vCPUs on the CPUs. */
#ifndef HV_VM_RUN_H
#define HV_VM_RUN_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

#define SLICE_US 1000 /* microseconds that a vCPU runs before others get the CPU */

/* Lets the other CPUs run their vCPUs. Call vm_turn() for those of the boot CPU. */
void vm_start(struct vm *vm);

/* Stops all vCPUs and saves their states. Boot CPU only. */
void vm_stop(struct vm *vm);

/* Gives each vCPU of this CPU its turn. False: none could run. */
bool vm_turn(struct vm *vm);

/* Call this in each loop on the boot CPU that waits for a VM: acknowledges flushes, and with one
 * CPU gives the vCPUs their turn. */
void vm_wait(struct vm *vm);

/* The same, where nothing else is to be done but to run a whole system: the CPU sleeps while its
 * vCPUs do. Call vm_wait() as well. */
void vm_rest(struct vm *vm);

/* Is each vCPU done, halted or dead? A whole system: has it ended, or has one of them died? */
bool vm_over(const struct vm *vm);
/* The same of any vCPU. */
bool vm_any_over(const struct vm *vm);
bool vm_all_ready(const struct vm *vm);

/* Why a vCPU cannot go on, after printing which; or NULL. */
const char *vm_casualty(const struct vm *vm);

/* The guest's verdict on its own data; call it once vm_over(). NULL: all is right, and each vCPU
 * has done some work. */
const char *vm_verdict(const struct vm *vm);

#endif
