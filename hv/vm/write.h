/* SPDX-License-Identifier: MIT */
/* Writing what a guest begins with. */
#ifndef HV_VM_WRITE_H
#define HV_VM_WRITE_H

#include "hv/cpu/vm.h"

/**
 * vm_write() - copy into guest memory, which becomes present where it is not.
 * @at: page aligned
 * @bytes: of the data
 * @memory_bytes: at least as many; behind the data zeros are written
 * Return: 0, or -ENOMEM.
 */
int must_check vm_write(struct vm *vm, gpa_t at, const void *data, uint64_t bytes,
			uint64_t memory_bytes);

#endif
