/* SPDX-License-Identifier: MIT */
/* Loading Linux into a VM, and giving the VM what Linux finds around it. */
#ifndef HV_VM_LINUX_H
#define HV_VM_LINUX_H

#include "hv/config/boot_info.h"
#include "hv/cpu/vm.h"

/**
 * vm_load_linux() - a bzImage. vCPU 0 begins at the kernel's entry; the others wait for it to start
 * them.
 * @initrd, @command_line: NULL: there is none
 * Return: NULL, or what went wrong in a few words; what helps was printed.
 */
const char *must_check vm_load_linux(struct vm *vm, const struct boot_module *kernel,
				     const struct boot_module *initrd,
				     const struct boot_module *command_line);

#endif
