/* SPDX-License-Identifier: MIT */
/*
 * MSRs of a guest. VM entry and exit switch some, which it accesses freely; KERNEL_GS_BASE goes
 * with the vCPU, as SWAPGS changes it unseen. Accesses to all others exit.
 *
 * Those of SYSCALL among them: to a hypervisor below us each access to one is an exit, so they are
 * written only if a guest that may execute SYSCALL would find another value, and never read.
 */
#include "hv/cpu/vmx/vmx.h"

#include "mm/err.h"
#include "mm/x86.h"

#define MSR_BITMAP_READ_LOW   0    /* MSRs 0 to 0x1fff */
#define MSR_BITMAP_READ_HIGH  1024 /* MSRs 0xc0000000 to 0xc0001fff */
#define MSR_BITMAP_WRITE_LOW  2048
#define MSR_BITMAP_WRITE_HIGH 3072

#define SYSCALL_MSRS 4

/* One bitmap for all: 1 means exit. */
static uint8_t msr_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

static void msr_pass(uint32_t msr)
{
	uint32_t bit = msr & 0x1fff;
	bool high = msr >= 0xc0000000;

	msr_bitmap[(high ? MSR_BITMAP_READ_HIGH : MSR_BITMAP_READ_LOW) + bit / 8] &=
		(uint8_t) ~(1u << bit % 8);
	msr_bitmap[(high ? MSR_BITMAP_WRITE_HIGH : MSR_BITMAP_WRITE_LOW) + bit / 8] &=
		(uint8_t) ~(1u << bit % 8);
}

uintptr_t vmx_msr_bitmap(void)
{
	static const uint32_t passed[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
		MSR_FS_BASE,     MSR_GS_BASE,      MSR_KERNEL_GS_BASE,
	};

	if (!msr_bitmap[MSR_BITMAP_READ_LOW])
		__builtin_memset(msr_bitmap, 0xff, sizeof(msr_bitmap));
	for (size_t i = 0; i < ARRAY_LEN(passed); i++)
		msr_pass(passed[i]);
	return (uintptr_t)msr_bitmap;
}

/* --- SYSCALL's ------------------------------------------------------------------------------- */

/* What each CPU holds, once they were written. */
static struct {
	bool known;
	uint64_t value[SYSCALL_MSRS];
} held[MAX_CPUS];

/* From STAR on. */
static uint64_t *syscall_msr(struct guest_state *s, unsigned int i)
{
	uint64_t *const at[SYSCALL_MSRS] = { &s->star, &s->lstar, &s->cstar, &s->fmask };

	return at[i];
}

void vmx_load_syscall_msrs(struct vcpu *vcpu)
{
	uint64_t *holds = held[vcpu->cpu].value;

	if (!(vcpu->state.efer & EFER_SCE))
		return;
	for (unsigned int i = 0; i < SYSCALL_MSRS; i++) {
		uint64_t value = *syscall_msr(&vcpu->state, i);

		if (held[vcpu->cpu].known && holds[i] == value)
			continue;
		x86_wrmsr(MSR_STAR + i, value);
		holds[i] = value;
	}
	held[vcpu->cpu].known = true;
}

static bool is_canonical(uint64_t va)
{
	return va + (UINT64_C(1) << 47) < UINT64_C(1) << 48;
}

static int write_syscall_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	if ((msr == MSR_LSTAR || msr == MSR_CSTAR) && !is_canonical(value))
		return -EINVAL;
	if (msr == MSR_FMASK && value >> 32)
		return -EINVAL;
	*syscall_msr(&vcpu->state, msr - MSR_STAR) = value;
	vmx_load_syscall_msrs(vcpu);
	return 0;
}

/* --- accesses that exit ---------------------------------------------------------------------- */

/* PAT lives in the VMCS, and so does what the TSC is off by; EFER changes only by exits. */
int vmx_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_TSC:
		*value = x86_rdtsc() + vcpu->state.tsc_offset;
		return 0;
	case MSR_EFER:
		*value = vcpu->state.efer;
		return 0;
	case MSR_PAT:
		*value = vmread(VMCS_GUEST_PAT);
		return 0;
	case MSR_STAR ... MSR_FMASK:
		*value = *syscall_msr(&vcpu->state, msr - MSR_STAR);
		return 0;
	default:
		return -ENOENT;
	}
}

static int write_efer_msr(struct vcpu *vcpu, uint64_t value)
{
	struct control c = vmx_control(vcpu);

	if (!control_set_efer(&c, value))
		return -EINVAL;
	vcpu->state.efer = c.efer;
	vmwrite(VMCS_GUEST_EFER, c.efer);
	vmx_load_syscall_msrs(vcpu);
	return 0;
}

int vmx_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_TSC:
		vcpu->state.tsc_offset = value - x86_rdtsc();
		vmwrite(VMCS_TSC_OFFSET, vcpu->state.tsc_offset);
		return 0;
	case MSR_EFER:
		return write_efer_msr(vcpu, value);
	case MSR_PAT:
		if (!control_pat_valid(value))
			return -EINVAL;
		vmwrite(VMCS_GUEST_PAT, value);
		return 0;
	case MSR_STAR ... MSR_FMASK:
		return write_syscall_msr(vcpu, msr, value);
	default:
		return -ENOENT;
	}
}
