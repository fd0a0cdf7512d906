/* SPDX-License-Identifier: MIT */
#include "tests/machine/platform.h"

#include <stdint.h>

#include "hv/base/string.h"
#include "hv/cpu/vendor.h"
#include "mm/x86.h"

#define GATES  256
#define UD     6
#define GP     13
#define PF     14
#define BIT_63 (UINT64_C(1) << 63)

struct gate {
	uint16_t offset_low, selector, flags, offset_middle;
	uint32_t offset_high, zero;
};

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct gate gates[GATES];

extern const char platform_fault[], platform_ud[];

/* RAX says where to go on, and is 0 there; 1 after #UD. The others push an error code. */
asm(".text\n"
    "platform_fault:\n\t"
    "addq $8, %rsp\n\t"
    "movq %rax, (%rsp)\n\t"
    "xorl %eax, %eax\n\t"
    "iretq\n"
    "platform_ud:\n\t"
    "movq %rax, (%rsp)\n\t"
    "movl $1, %eax\n\t"
    "iretq\n");

/* True if writing the value raised #GP; else the register has its old value again. */
#define RAISES(reg, value)                                                                         \
	({                                                                                         \
		uint64_t before_, at_;                                                             \
                                                                                                   \
		asm volatile("mov %%" reg ", %0" : "=r"(before_));                                 \
		asm volatile("lea 1f(%%rip), %%rax\n\t"                                            \
			     "mov %1, %%" reg "\n"                                                 \
			     "1:"                                                                  \
			     : "=&a"(at_)                                                          \
			     : "r"(before_ | (value))                                              \
			     : "memory");                                                          \
		if (at_)                                                                           \
			asm volatile("mov %0, %%" reg : : "r"(before_) : "memory");                \
		!at_;                                                                              \
	})

static void aim(unsigned int vector, const char *handler)
{
	uint64_t at = (uint64_t)(uintptr_t)handler;

	gates[vector].offset_low = (uint16_t)at;
	gates[vector].offset_middle = (uint16_t)(at >> 16);
	gates[vector].offset_high = (uint32_t)(at >> 32);
}

/* All gates stay as they are but these, which switch stacks like the others. */
static void take_faults(const struct table *own)
{
	memcpy(gates, (const void *)(uintptr_t)own->base, sizeof(gates));
	aim(UD, platform_ud);
	aim(GP, platform_fault);
	aim(PF, platform_fault);
}

/* Our own code is write-protected, too. VMX has no VMMCALL, SVM no VMCALL. */
static bool turns_calls(void)
{
	uint64_t at;

	if (vendor == &vendor_svm)
		asm volatile("lea 1f(%%rip), %%rax\n\tvmcall\n1:" : "=&a"(at) : : "memory", "cc");
	else
		asm volatile("lea 1f(%%rip), %%rax\n\tvmmcall\n1:" : "=&a"(at) : : "memory", "cc");
	return at != 1;
}

static bool says_tcg(void)
{
	return x86_cpuid(0x40000000, 0).ebx == 0x54474354; /* "TCGT" */
}

/* QEMU's software CPU has an exit in place of #GP for a reserved bit of CR4, also in root mode,
 * where it exits to nowhere. Below KVM it never sees such a value. */
unsigned int platform_lax(void)
{
	struct table own, ours = { sizeof(gates) - 1, (uint64_t)(uintptr_t)gates };
	unsigned int lax = 0;

	asm volatile("sidt %0" : "=m"(own));
	take_faults(&own);
	asm volatile("lidt %0" : : "m"(ours) : "memory");
	if (!says_tcg()) {
		lax |= RAISES("cr0", BIT_63) ? 0 : LAX_CR0;
		lax |= RAISES("cr4", BIT_63) ? 0 : LAX_CR4;
	}
	lax |= RAISES("cr8", UINT64_C(16)) ? 0 : LAX_CR8;
	lax |= turns_calls() ? LAX_CALL : 0;
	asm volatile("lidt %0" : : "m"(own) : "memory");
	return lax;
}

/* QEMU 7.2 and 10 check no value for CR8; all others that Cleave has met do. */
bool platform_is_tcg(void)
{
	return says_tcg() || platform_lax() & LAX_CR8;
}
