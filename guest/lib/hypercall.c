/* SPDX-License-Identifier: MIT */
/* Which hypervisor this is, and how it wants to be asked: CPUID, as hv/abi.h says. */
#include "guest/lib/hypercall.h"
#include "guest/lib/cpu.h"

bool hypercall_by_vmmcall;

bool hypercall_init(void)
{
	struct cpuid_result id = cpuid(ABI_CPUID_BASE);

	/* "CleaveCleave", little endian. Each vCPU stores the same value. */
	if (id.b != 0x61656c43 || id.c != 0x6c436576 || id.d != 0x65766165)
		return false;
	hypercall_by_vmmcall = cpuid(ABI_CPUID_BASE + 1).a == ABI_CALL_VMMCALL;
	return true;
}
