/* SPDX-License-Identifier: MIT */
/*
 * All that a guest is but its memory, as bytes that travel to another machine: the states of its
 * vCPUs, and the platform of a whole system. Both machines were built with the same layout, which
 * VM_STATE_VERSION names and the sizes in the bytes confirm.
 */
#ifndef HV_VM_STATE_H
#define HV_VM_STATE_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

/* Add 1 when struct guest_state, struct platform, or what state.c writes changes. */
#define VM_STATE_VERSION 1

/* Bytes that a VM of this many vCPUs takes. */
size_t vm_state_bytes(unsigned int nvcpus);

/**
 * vm_state_save() - write the state of a VM that vm_stop() has stopped, none of whose vCPUs is
 * over.
 * @to: room for vm_state_bytes()
 * Return: the bytes that were written.
 */
size_t vm_state_save(const struct vm *vm, void *to);

/**
 * vm_state_load() - make this VM, which has never run, the one that was saved.
 * @from: whatever somebody has sent: nothing in it can harm the hypervisor
 *
 * Call vm_state_resume() when it starts.
 * Return: NULL; or why it cannot be: the VM is not to be run.
 */
const char *must_check vm_state_load(struct vm *vm, const void *from, size_t bytes);

/* The guest's clocks go on from where they stopped, here and now. */
void vm_state_resume(struct vm *vm);

/* --- state_check.c: pure ------------------------------------------------------------------------
 */

/* Is there nothing in it that root mode would stumble over when it loads the state? What the guest
 * alone would suffer from is not looked at: VM entry refuses it, or the guest has what it sent.
 * @components: as xstate_components(). NULL; or what is wrong. */
const char *must_check guest_state_check(const struct guest_state *s, unsigned int index,
					 uint64_t components);
const char *must_check uart_check(const struct uart *uart);

#endif
