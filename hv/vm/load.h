/* SPDX-License-Identifier: MIT */
/* Loading a guest into a VM, by its name: a payload, or a Linux. */
#ifndef HV_VM_LOAD_H
#define HV_VM_LOAD_H

#include "hv/config/boot_info.h"
#include "hv/cpu/vm.h"

/* A payload. Return: NULL, or what went wrong in a few words; what helps was printed. */
const char *must_check vm_load_payload_named(struct vm *vm, const struct boot_info *info,
					     const char *name);

/* The same for either kind: what the module contains decides. A Linux may have modules NAME-initrd
 * and NAME-cmdline beside it. */
const char *must_check vm_load_guest(struct vm *vm, const struct boot_info *info, const char *name);

#endif
