/* SPDX-License-Identifier: MIT */
/* Making and unmaking VMs. */
#ifndef HV_VM_MAKE_H
#define HV_VM_MAKE_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

/**
 * vm_create() - memory of config->region bytes, all of it absent, in blocks of `backing` (or of
 * 2 MiB where no 1 GiB block is free: vm->mem.backing.level says), and vCPUs that are not loaded
 * anywhere.
 * Return: NULL after a line that says what was missing.
 */
struct vm *vm_create(const char *name, const struct run_config *config, enum pg_level backing);

/* As vm_create(), with zeros in all frames: zeros that arrive in large pieces cost nothing later.
 */
struct vm *vm_create_zeroed(const char *name, const struct run_config *config,
			    enum pg_level backing);

/* As vm_create(), with nothing mapped and no backing: the caller provides for it. Its largest leaf
 * is that of `model`. */
struct vm *vm_create_like(const struct vm *model, const char *name);

/* Gives everything back. No CPU runs it any more. */
void vm_destroy(struct vm *vm);

/* The vCPU, which is stopped, runs on this CPU from now on; on the boot CPU by vm_turn(). */
void vm_place_vcpu(struct vm *vm, unsigned int index, unsigned int cpu);

#endif
