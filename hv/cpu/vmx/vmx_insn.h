/* SPDX-License-Identifier: MIT */
/* VMX's instructions (SDM vol. 3C, "VMX Instruction Reference"). One that fails ends the machine.
 */
#ifndef HV_VMX_INSN_H
#define HV_VMX_INSN_H

#include "hv/cpu/vmx/vmcs.h"
#include "mm/types.h"

/* Ends the machine: a VMX instruction failed that must not. */
_Noreturn void vmx_failed(const char *instruction, uint64_t operand);

static inline uint64_t vmread(enum vmcs_field field)
{
	uint64_t value;
	bool fail;

	__asm__ volatile("vmread %[field], %[value]"
			 : [value] "=r"(value), "=@ccbe"(fail)
			 : [field] "r"((uint64_t)field)
			 : "memory");
	if (fail)
		vmx_failed("VMREAD", field);
	return value;
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
	bool fail;

	__asm__ volatile("vmwrite %[value], %[field]"
			 : "=@ccbe"(fail)
			 : [field] "r"((uint64_t)field), [value] "r"(value)
			 : "memory");
	if (fail)
		vmx_failed("VMWRITE", field);
}

static inline void vmptrld(hpa_t vmcs)
{
	bool fail;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(fail) : "m"(vmcs.v) : "memory");
	if (fail)
		vmx_failed("VMPTRLD", vmcs.v);
}

/* The current VMCS; UINT64_MAX: none. */
static inline hpa_t vmptrst(void)
{
	hpa_t vmcs;

	__asm__ volatile("vmptrst %0" : "=m"(vmcs.v) : : "memory");
	return vmcs;
}

static inline void vmclear(hpa_t vmcs)
{
	bool fail;

	__asm__ volatile("vmclear %1" : "=@ccbe"(fail) : "m"(vmcs.v) : "memory");
	if (fail)
		vmx_failed("VMCLEAR", vmcs.v);
}

enum {
	INVEPT_SINGLE = 1,
	INVEPT_ALL = 2
};
enum {
	INVVPID_SINGLE = 1,
	INVVPID_ALL = 2
};

static inline void invept(uint64_t type, uint64_t eptp)
{
	struct {
		uint64_t eptp, zero;
	} d = { eptp, 0 };
	bool fail;

	__asm__ volatile("invept %[d], %[type]"
			 : "=@ccbe"(fail)
			 : [d] "m"(d), [type] "r"(type)
			 : "memory");
	if (fail)
		vmx_failed("INVEPT", eptp);
}

static inline void invvpid(uint64_t type, uint16_t vpid)
{
	struct {
		uint64_t vpid, address;
	} d = { vpid, 0 };
	bool fail;

	__asm__ volatile("invvpid %[d], %[type]"
			 : "=@ccbe"(fail)
			 : [d] "m"(d), [type] "r"(type)
			 : "memory");
	if (fail)
		vmx_failed("INVVPID", vpid);
}

#endif
