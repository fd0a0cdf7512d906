/* SPDX-License-Identifier: MIT */
/* Asking the hypervisor. See hv/abi.h for the numbers. */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi.h"

extern bool hypercall_by_vmmcall; /* set by hypercall_init() */

/* Finds out which instruction it is. Returns false where the hypervisor is not Cleave. */
bool hypercall_init(void);

static inline uint64_t hypercall(uint64_t call, uint64_t a, uint64_t b, uint64_t c)
{
	if (hypercall_by_vmmcall)
		asm volatile("vmmcall" : "+a"(call) : "D"(a), "S"(b), "d"(c) : "memory");
	else
		asm volatile("vmcall" : "+a"(call) : "D"(a), "S"(b), "d"(c) : "memory");
	return call;
}

static inline uint64_t param(enum abi_param id)
{
	return hypercall(ABI_PARAM, id, 0, 0);
}

#endif
