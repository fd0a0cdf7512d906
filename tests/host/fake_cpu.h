/* SPDX-License-Identifier: MIT */
/*
 * A CPU with VMX of which a program on the host is the root mode: in place of mm/x86.h and
 * hv/cpu/vmx/vmx_insn.h, which must not have been included before. It keeps registers and VMCSs,
 * and counts what is an exit where Linux' KVM is the hypervisor below (arch/x86/kvm/vmx/: all
 * accesses to fields but those in vmcs_shadow_fields.h, to the MSRs of SYSCALL but for
 * KERNEL_GS_BASE, and to debug registers; XSETBV; VMPTRLD, VMCLEAR, INVEPT, INVVPID).
 */
#ifndef FAKE_CPU_H
#define FAKE_CPU_H

#define MM_X86_H
#define HV_VMX_INSN_H

#include "hv/cpu/vmx/vmcs.h"
#include "mm/x86_bits.h"

#define FAKE_VMCSS  4
#define FAKE_FIELDS 0x7000

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static struct {
	uint64_t vmcs[FAKE_VMCSS][FAKE_FIELDS];
	uint64_t current; /* of these */
	uint64_t syscall[4], kernel_gs, dr[8], cr2, xcr0;
	uint8_t vector[16]; /* as an image has it from its first byte on */
	unsigned int exits; /* to a hypervisor below */
	unsigned int flushes;
} fake;

_Noreturn void vmx_failed(const char *instruction, uint64_t operand);

static bool is_shadowed(enum vmcs_field field)
{
	switch ((unsigned int)field) {
	case VMCS_REASON:
	case VMCS_INTR_INFO:
	case VMCS_INTR_ERROR:
	case VMCS_LENGTH:
	case VMCS_IDTV_INFO:
	case VMCS_IDTV_ERROR:
	case VMCS_QUALIFICATION:
	case VMCS_GUEST_PHYS:
	case VMCS_GUEST_ES_ATTR + 2 * 1: /* of CS */
	case VMCS_GUEST_ES_ATTR + 2 * 2: /* of SS */
	case VMCS_CPU:
	case VMCS_PIN:
	case VMCS_EXCEPTIONS:
	case VMCS_INJECT_INFO:
	case VMCS_INJECT_ERROR:
	case VMCS_INJECT_LENGTH:
	case VMCS_GUEST_INTERRUPTIBILITY:
	case VMCS_PREEMPT:
	case VMCS_PML_INDEX:
	case VMCS_GUEST_RIP:
	case VMCS_GUEST_RSP:
	case VMCS_GUEST_RFLAGS:
	case VMCS_GUEST_CR0:
	case VMCS_GUEST_CR3:
	case VMCS_GUEST_CR4:
	case VMCS_CR0_MASK:
	case VMCS_CR0_SHADOW:
	case VMCS_CR4_SHADOW:
	case VMCS_HOST_FS_BASE:
	case VMCS_HOST_GS_BASE:
		return true;
	default:
		return false;
	}
}

static inline uint64_t vmread(enum vmcs_field field)
{
	fake.exits += !is_shadowed(field);
	return fake.vmcs[fake.current][field];
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
	fake.exits += !is_shadowed(field);
	fake.vmcs[fake.current][field] = value;
}

static inline void vmptrld(hpa_t vmcs)
{
	fake.exits++;
	fake.current = vmcs.v;
}

static inline hpa_t vmptrst(void)
{
	fake.exits++;
	return hpa(fake.current);
}

static inline void vmclear(hpa_t vmcs)
{
	(void)vmcs;
	fake.exits++;
}

enum {
	INVEPT_SINGLE = 1,
	INVEPT_ALL = 2
};
enum {
	INVVPID_SINGLE = 1,
	INVVPID_ALL = 2
};

static inline void invvpid(uint64_t type, uint16_t vpid)
{
	(void)type;
	(void)vpid;
	fake.exits++;
	fake.flushes++;
}

/* With XSAVE, of x87, SSE and AVX. */
static inline struct cpuid x86_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c = { .eax = 7, .ecx = 1u << 26 };

	(void)leaf;
	(void)subleaf;
	return c;
}

static uint64_t *fake_msr(uint32_t msr)
{
	static uint64_t other;

	if (msr >= MSR_STAR && msr <= MSR_FMASK) {
		fake.exits++;
		return &fake.syscall[msr - MSR_STAR];
	}
	return msr == MSR_KERNEL_GS_BASE ? &fake.kernel_gs : &other;
}

static inline uint64_t x86_rdmsr(uint32_t msr)
{
	return *fake_msr(msr);
}

static inline void x86_wrmsr(uint32_t msr, uint64_t value)
{
	*fake_msr(msr) = value;
}

static inline uint64_t x86_rdtsc(void)
{
	return 0;
}

#define FAKE_DR(n)                                                                                 \
	static inline uint64_t x86_read_dr##n(void)                                                \
	{                                                                                          \
		fake.exits++;                                                                      \
		return fake.dr[n];                                                                 \
	}                                                                                          \
	static inline void x86_write_dr##n(uint64_t value)                                         \
	{                                                                                          \
		fake.exits++;                                                                      \
		fake.dr[n] = value;                                                                \
	}

FAKE_DR(0)
FAKE_DR(1)
FAKE_DR(2)
FAKE_DR(3)
FAKE_DR(6)

static inline uint64_t x86_read_cr2(void)
{
	return fake.cr2;
}

static inline void x86_write_cr2(uint64_t value)
{
	fake.cr2 = value;
}

static inline uint64_t x86_read_cr0(void)
{
	return CR0_PE;
}

static inline uint64_t x86_read_cr3(void)
{
	return 0;
}

static inline uint64_t x86_read_cr4(void)
{
	return CR4_PAE;
}

static inline void x86_write_cr4(uint64_t value)
{
	(void)value;
}

static inline uint64_t x86_xgetbv(void)
{
	return fake.xcr0;
}

static inline void x86_xsetbv(uint64_t value)
{
	fake.exits++;
	fake.xcr0 = value;
}

static inline void x86_xsave(uint8_t *image, uint64_t components)
{
	(void)components;
	__builtin_memcpy(image, fake.vector, sizeof(fake.vector));
}

static inline void x86_xrstor(const uint8_t *image)
{
	__builtin_memcpy(fake.vector, image, sizeof(fake.vector));
}

static inline void x86_fxsave(uint8_t *image)
{
	x86_xsave(image, 0);
}

static inline void x86_fxrstor(const uint8_t *image)
{
	x86_xrstor(image);
}

#endif
