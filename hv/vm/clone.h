/* SPDX-License-Identifier: MIT */
/*
 * A second VM with the memory of the first: the same granularity, contents and holes. It costs
 * table pages, not memory.
 *
 * EPT_PRIVATE: whoever writes gets a copy of the 4 KiB page. EPT_SHARED: both write to the same
 * memory, and what arrives in one of them has arrived for the other.
 */
#ifndef HV_VM_CLONE_H
#define HV_VM_CLONE_H

#include "ept/range.h"
#include "hv/cpu/vm.h"

/**
 * vm_clone() - a clone of a VM, whose vCPUs may run meanwhile. Where they do not (vm_stop()), the
 * clone's vCPUs are in their states, too; else they are not loaded.
 *
 * The clone has the pager of the original: the same source, policy and piece. A source that answers
 * later than at once serves one VM, so the caller gives the clone's pager one of its own.
 * Its vCPUs have CPUs after the original's where there are enough, and the boot CPU otherwise.
 *
 * Return: NULL after a line that says what was missing.
 */
struct vm *vm_clone(struct vm *from, const char *name, enum ept_share share);

#endif
