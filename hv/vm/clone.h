/* SPDX-License-Identifier: MIT */
/*
 * A second VM with the memory of the first: the same granularity, contents and holes. It costs
 * table pages, not memory.
 *
 * EPT_PRIVATE: copy-on-write; the writer gets a copy of the 4 KiB page. EPT_SHARED: both write to
 * the same memory, and a page that arrives in one arrives in the other.
 */
#ifndef HV_VM_CLONE_H
#define HV_VM_CLONE_H

#include "ept/range.h"
#include "hv/cpu/vm.h"

/**
 * vm_clone() - clone a VM, whose vCPUs may run meanwhile. After vm_stop() the clone's vCPUs get the
 * states of the original's; else they are VCPU_OFF.
 *
 * The clone's pager gets the original's source, policy and piece. If that source answers late, call
 * pager_init() with another one: it serves one VM only. The clone's vCPUs get the CPUs after the
 * original's if there are enough, else the boot CPU.
 *
 * Return: the clone, for vm_destroy(); or NULL after printing what was missing.
 */
struct vm *vm_clone(struct vm *from, const char *name, enum ept_share share);

#endif
