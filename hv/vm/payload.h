/* SPDX-License-Identifier: MIT */
/* Loading a payload (hv/abi.h) into a VM. */
#ifndef HV_VM_PAYLOAD_H
#define HV_VM_PAYLOAD_H

#include "hv/config/boot_info.h"
#include "hv/cpu/vm.h"

/**
 * vm_load_payload() - copy a payload into guest memory and set the vCPUs to its entry.
 * Return: 0, or -EINVAL after printing what is wrong with the image.
 */
int must_check vm_load_payload(struct vm *vm, const struct boot_module *module);

#endif
