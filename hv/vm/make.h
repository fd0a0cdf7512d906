/* SPDX-License-Identifier: MIT */
/* Making and unmaking VMs. */
#ifndef HV_VM_MAKE_H
#define HV_VM_MAKE_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

/**
 * vm_create() - make a VM: memory as mem_make() makes it, of config->region bytes, and vCPUs that
 * are not loaded anywhere.
 * @name, @config: must outlive the VM
 * Return: the VM, for vm_destroy(); or NULL after printing what was missing.
 */
struct vm *vm_create(const char *name, const struct run_config *config, enum pg_level backing);

/* As vm_create(), with nothing mapped and no backing: provide both. Its configuration and largest
 * leaf are those of `model`. */
struct vm *vm_create_like(const struct vm *model, const char *name);

/* Makes it a whole system (hv/platform/platform.h): its guest is no payload. The vCPUs' own parts
 * of that are reset with them. */
void vm_make_system(struct vm *vm);

/* Gives everything back. Call vm_stop() first, if the VM was started. */
void vm_destroy(struct vm *vm);

/* Makes a stopped vCPU run on this CPU from now on; on the boot CPU, vm_turn() runs it. */
void vm_place_vcpu(struct vm *vm, unsigned int index, unsigned int cpu);

#endif
