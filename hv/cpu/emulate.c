/* SPDX-License-Identifier: MIT */
/* What a guest asks the platform for: CPUID, MSRs, ports, XSETBV. A missing feature answers as
 * hardware without it does. */
#include "hv/abi.h"
#include "hv/base/clock.h"
#include "hv/base/guest_console.h"
#include "hv/cpu/cpuid.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "hv/mem/guest_memory.h"
#include "mm/err.h"
#include "mm/x86.h"

/* Linux takes an x2APIC only from a hypervisor that it knows. It looks for KVM's name here, too,
 * and finds it without a single feature of KVM's: those have bits, and all are 0. */
#define KVM_CPUID_BASE (ABI_CPUID_BASE + 0x100)

#define CPUID_HYPERVISOR (1u << 31) /* leaf 1 ECX */

/* --- CPUID --------------------------------------------------------------------------------- */

/* CPUID leaves a virtual machine: where we are in one, it is asked once. */
static bool in_a_machine(void)
{
	static enum {
		UNKNOWN,
		NO,
		YES
	} known;

	if (known == UNKNOWN)
		known = x86_cpuid(1, 0).ecx & CPUID_HYPERVISOR ? YES : NO;
	return known == YES;
}

static struct cpuid answer(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint64_t xcr0)
{
	const struct cpuid_system system = {
		.apic_id = vcpu->index,
		.nvcpus = vcpu->vm->nvcpus,
		.components = xstate_components(),
		.xcr0 = xcr0,
		.even_tsc = in_a_machine(),
	};
	struct cpuid c = x86_cpuid(leaf, subleaf);

	return vcpu->system
		       ? cpuid_tell_system(leaf, subleaf, c, vendor->mca->cpuid_ras_ebx, &system)
		       : cpuid_tell(leaf, subleaf, c, vendor->mca->cpuid_ras_ebx);
}

/* To a hypervisor below us each question to the machine is an exit, so each is asked only once. */
void emulate_keep_cpuid(struct vcpu *vcpu)
{
	struct cpuid_kept *kept = &vcpu->cpuid;

	for (uint32_t i = 0; i < ARRAY_LEN(kept->answer[0]); i++) {
		kept->answer[0][i] = answer(vcpu, i, 0, 0);
		kept->answer[1][i] = answer(vcpu, 0x80000000 + i, 0, 0);
	}
}

/* What is not kept: Cleave's own leaves, that of XSAVE, other subleaves, and what there is not: a
 * Linux that looks for hypervisors asks for 256 of these. */
static struct cpuid answer_seldom(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
	if ((leaf & ~(1u << 31)) <= CPUID_SYSTEM_MAX)
		return answer(vcpu, leaf, subleaf, xstate_xcr0(&vcpu->state.xstate));
	if (leaf == ABI_CPUID_BASE) /* "CleaveCleave" */
		return (struct cpuid){ ABI_CPUID_BASE + 1, 0x61656c43, 0x6c436576, 0x65766165 };
	if (leaf == ABI_CPUID_BASE + 1)
		return (struct cpuid){ .eax = vendor->call_abi };
	if (leaf == KVM_CPUID_BASE && vcpu->system) /* "KVMKVMKVM" */
		return (struct cpuid){ KVM_CPUID_BASE + 1, 0x4b4d564b, 0x564b4d56, 0x4d };
	return (struct cpuid){ 0 };
}

void emulate_cpuid(struct vcpu *vcpu)
{
	uint64_t *gpr = vcpu->state.gpr;
	const uint32_t leaf = (uint32_t)gpr[RAX], subleaf = (uint32_t)gpr[RCX];
	const uint32_t number = leaf & ~(1u << 31);
	struct cpuid c;

	if (!subleaf && number < ARRAY_LEN(vcpu->cpuid.answer[0]))
		c = vcpu->cpuid.answer[leaf >> 31][number];
	else
		c = answer_seldom(vcpu, leaf, subleaf);
	if (leaf == 1 && vcpu_has_xsave(vcpu) && vendor->cr4(vcpu) & CR4_OSXSAVE)
		c.ecx |= CPUID_OSXSAVE;
	gpr[RAX] = c.eax;
	gpr[RBX] = c.ebx;
	gpr[RCX] = c.ecx;
	gpr[RDX] = c.edx;
}

/* --- MSRs ---------------------------------------------------------------------------------- */

static bool is_lapic(uint32_t msr)
{
	return (msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST) || msr == MSR_TSC_DEADLINE;
}

static uint64_t guest_tsc(const struct vcpu *vcpu)
{
	return clock_now() + vcpu->state.tsc_offset;
}

static int system_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	if (!vcpu->system)
		return -ENOENT;
	if (is_lapic(msr))
		return lapic_read(&vcpu->state.lapic, msr, guest_tsc(vcpu), vendor->cr8(vcpu),
				  value)
			       ? 0
			       : -EINVAL;
	return platform_rdmsr(&vcpu->state.msrs, msr, !vcpu->index, value);
}

static int lapic_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value, bool *stay)
{
	enum lapic_answer answer = lapic_write(&vcpu->state.lapic, msr, value, guest_tsc(vcpu));

	if (answer == LAPIC_BAD)
		return -EINVAL;
	*stay = vcpu_after_lapic(vcpu, answer, value);
	return 0;
}

static int system_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value, bool *stay)
{
	if (!vcpu->system)
		return -ENOENT;
	if (is_lapic(msr))
		return lapic_wrmsr(vcpu, msr, value, stay);
	return platform_wrmsr(&vcpu->state.msrs, msr, !vcpu->index, value);
}

bool emulate_rdmsr(struct vcpu *vcpu)
{
	uint64_t *gpr = vcpu->state.gpr;
	uint32_t msr = (uint32_t)gpr[RCX];
	uint64_t value;
	int err = system_rdmsr(vcpu, msr, &value);

	if (err == -ENOENT)
		err = vendor->rdmsr(vcpu, msr, &value);
	if (err == -ENOENT)
		err = mca_rdmsr(&vcpu->state.mca, vendor->mca, msr, &value);
	if (err)
		return false;
	gpr[RAX] = (uint32_t)value;
	gpr[RDX] = value >> 32;
	return true;
}

/* The timer is kept by the guest's TSC. */
static int vendor_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint64_t before = vcpu->state.tsc_offset;
	int err = vendor->wrmsr(vcpu, msr, value);

	if (msr == MSR_TSC && vcpu->system && !err) {
		lapic_tsc_set(&vcpu->state.lapic, vcpu->state.tsc_offset - before);
		(void)vcpu_after_lapic(vcpu, LAPIC_TIMER, 0);
	}
	return err;
}

/* The local APIC comes first: it is what a system writes most. */
bool emulate_wrmsr(struct vcpu *vcpu, bool *stay)
{
	const uint64_t *gpr = vcpu->state.gpr;
	uint64_t value = (uint32_t)gpr[RAX] | gpr[RDX] << 32;
	uint32_t msr = (uint32_t)gpr[RCX];
	int err = system_wrmsr(vcpu, msr, value, stay);

	if (err == -ENOENT)
		err = vendor_wrmsr(vcpu, msr, value);
	if (err == -ENOENT)
		err = mca_wrmsr(&vcpu->state.mca, vendor->mca, msr, value);
	return !err;
}

bool emulate_xsetbv(struct vcpu *vcpu)
{
	const uint64_t *gpr = vcpu->state.gpr;

	return vendor->in_kernel(vcpu) && xstate_set_xcr0(&vcpu->state.xstate, (uint32_t)gpr[RCX],
							  (uint32_t)gpr[RAX] | gpr[RDX] << 32);
}

/* --- ports --------------------------------------------------------------------------------- */

/* A frame of the guest's that it gives back or tells of. One that makes no sense is ignored: nobody
 * could be told. Under no lock: to discard takes a flush, which waits for the other CPUs. */
static void system_word(struct vcpu *vcpu, uint16_t port, gfn_t gfn)
{
	struct platform *p = vcpu->vm->platform;
	uint64_t frames = port == GIVE_PORT ? 1 : level_frames(PG_LEVEL_2M);

	if (port != GIVE_PORT && port != GIVE_2M_PORT && port != HUGE_PORT)
		return;

	if (!IS_ALIGNED(gfn, frames) || gfn + frames > vcpu->mem->frames)
		return;
	if (port == HUGE_PORT) {
		p->huge++;
		p->huge_large += ept_lookup(vcpu_ept(vcpu), gfn).level >= PG_LEVEL_2M;
	} else if (!guest_discard(vcpu->mem, gfn, frames)) {
		p->given += frames;
	}
}

/* The other ports of the platform are a byte wide. */
static uint64_t system_io(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct vm *vm = vcpu->vm;
	bool finish = atomic_load_explicit(&vm->asked_to_finish, memory_order_acquire);
	uint8_t value = 0;
	int sent = -1;

	spin_lock(&vm->platform->lock);
	if (exit->out)
		sent = platform_out(vm->platform, exit->port, (uint8_t)vcpu->state.gpr[RAX]);
	else
		value = platform_in(vm->platform, exit->port, finish);
	spin_unlock(&vm->platform->lock);
	if (sent >= 0)
		guest_console_put((uint8_t)sent);
	return value;
}

/* No device: reads float high, writes are lost. */
void emulate_io(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	uint64_t mask = exit->size == 4 ? UINT32_MAX : (UINT64_C(1) << 8 * exit->size) - 1;
	uint64_t value = mask;

	if (vcpu->system && exit->size == 1)
		value = system_io(vcpu, exit);
	if (vcpu->system && exit->size == 4 && exit->out)
		system_word(vcpu, exit->port, (uint32_t)vcpu->state.gpr[RAX]);
	if (exit->out)
		return;
	if (exit->size == 4)
		vcpu->state.gpr[RAX] = value;
	else
		vcpu->state.gpr[RAX] = (vcpu->state.gpr[RAX] & ~mask) | value;
}
