/* SPDX-License-Identifier: MIT */
/*
 * A CPU takes turns with vCPUs on VMX: each finds its own registers, and a hypervisor below sees no
 * more of it than it must. The sources are those of the hypervisor, on a CPU that counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <asm/prctl.h>
#include <cmocka.h>

#include "mm/types.h"
#include "tests/host/fake_cpu.h"

#include "hv/cpu/debug.c"
#include "hv/cpu/vcpu_switch.c"
#include "hv/cpu/vmx/vmx_cr.c"
#include "hv/cpu/vmx/vmx_msr.c"
#include "hv/cpu/vmx/vmx_vmcs.c"
#include "hv/cpu/xstate.c"

#define A     0
#define B     1
#define TURNS 3

struct cpu cpus[MAX_CPUS];
unsigned int ncpus = 1;
struct vmx_controls vmx = {
	.cpu = CPU_MOV_DR, .vpid = true, .cr0_fixed1 = UINT64_MAX, .cr4_fixed1 = UINT64_MAX
};
struct frame_pool machine_frames;
struct trace_place trace_places[MAX_CPUS];
bool trace_streams;
uint64_t clock_khz = 1;

static struct trace_record records[64];
static struct vm vm;
static struct vcpu vcpus[2];

static const struct vendor counted = {
	.load = vmx_load,
	.activate = vmx_activate,
	.deactivate = vmx_deactivate,
	.debug = vmx_debug,
	.save = vmx_save,
};
const struct vendor *vendor = &counted;

_Noreturn void vmx_failed(const char *instruction, uint64_t operand)
{
	(void)operand;
	fail_msg("%s", instruction);
	abort();
}

void vmx_flush(const struct ept *ept)
{
	(void)ept;
	fake.flushes++;
}

uint64_t vmx_eptp(const struct ept *ept)
{
	(void)ept;
	return 1;
}

void vmx_exit_point(void)
{
}

/* @visible: of a system, which is told of XSAVE and may execute SYSCALL */
static void make(struct vcpu *vcpu, unsigned int index, bool visible)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vm = &vm;
	vcpu->mem = &vm.mem;
	vcpu->index = index;
	vcpu->system = visible;
	vcpu->hw_page = hpa(index);
	vcpu->hw_tag = index + 1;
	vcpu->state.dr6 = 0xffff0ff0;
	vcpu->state.dr7 = 0x400;
	vcpu->state.efer = EFER_LME | EFER_LMA | (visible ? EFER_SCE : 0);
	vcpu->state.star = 0x10;
	vcpu->state.lstar = 0x20;
	vcpu->state.cstar = 0x30;
	vcpu->state.fmask = 0x40;
	vcpu->state.kernel_gs_base = 0x100 + index;
	xstate_reset(&vcpu->state.xstate, visible);
	if (visible)
		vcpu->state.xstate.xcr0 = 7;
}

/* Both have had a turn, and A's was the last. */
static void begin(bool visible)
{
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpus[0]);
	cpus[0].self = &cpus[0];
	memset(&fake, 0, sizeof(fake));
	memset(current, 0, sizeof(current));
	memset(held, 0, sizeof(held));
	trace_places[0] = (struct trace_place){ records, records + ARRAY_LEN(records), records, 0 };
	xstate_enable(false);
	for (unsigned int i = 0; i < 2; i++)
		make(&vcpus[i], i, visible);
	vcpu_switch_to(&vcpus[B]);
	vcpu_switch_to(&vcpus[A]);
}

/* To the other one and back, a few times: each switch takes `exits`, and none flushes. */
static void assert_switch_takes(unsigned int exits)
{
	fake.exits = fake.flushes = 0;
	for (unsigned int i = 0; i < TURNS; i++) {
		vcpu_switch_to(&vcpus[B]);
		vcpu_switch_to(&vcpus[A]);
	}
	assert_int_equal(fake.exits, exits * 2 * TURNS);
	assert_int_equal(fake.flushes, 0);
}

static void a_switch_of_payloads_is_one_exit(void **state)
{
	(void)state;
	begin(false);
	assert_switch_takes(1);
}

static void a_switch_of_systems_with_the_same_msrs_is_one_exit(void **state)
{
	(void)state;
	begin(true);
	assert_switch_takes(1);
}

static void only_the_msr_that_differs_is_written(void **state)
{
	(void)state;
	begin(true);
	vcpu_switch_to(&vcpus[B]);
	assert_int_equal(vmx_wrmsr(&vcpus[B], MSR_LSTAR, 0x2000), 0);
	vcpu_switch_to(&vcpus[A]);
	assert_switch_takes(2);
}

/* Payloads keep values in them, too, but execute no SYSCALL. */
static void msrs_of_whoever_has_no_syscall_stay_out_of_the_cpu(void **state)
{
	uint64_t value;

	(void)state;
	begin(false);
	assert_int_equal(vmx_wrmsr(&vcpus[A], MSR_LSTAR, 0x2000), 0);
	vcpu_switch_to(&vcpus[B]);
	assert_int_equal(vmx_rdmsr(&vcpus[B], MSR_LSTAR, &value), 0);
	assert_int_equal(value, 0x20);
	vcpu_switch_to(&vcpus[A]);
	assert_int_equal(vmx_rdmsr(&vcpus[A], MSR_LSTAR, &value), 0);
	assert_int_equal(value, 0x2000);
	assert_switch_takes(1);
	assert_int_equal(fake.syscall[1], 0);
}

static void each_finds_its_own_msrs(void **state)
{
	(void)state;
	begin(true);
	for (unsigned int msr = 0; msr < SYSCALL_MSRS; msr++)
		assert_int_equal(vmx_wrmsr(&vcpus[A], MSR_STAR + msr, 0x1000 + msr), 0);
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		assert_int_equal(fake.kernel_gs, 0x100 + turn);
		fake.kernel_gs++; /* as SWAPGS does */
		for (unsigned int msr = 0; msr < SYSCALL_MSRS; msr++)
			assert_int_equal(fake.syscall[msr], 0x1000 + msr);
		vcpu_switch_to(&vcpus[B]);
		assert_int_equal(fake.kernel_gs, 0x101);
		for (unsigned int msr = 0; msr < SYSCALL_MSRS; msr++)
			assert_int_equal(fake.syscall[msr], 0x10 * (msr + 1));
		vcpu_switch_to(&vcpus[A]);
	}
}

static void syscall_is_switched_on_with_its_msrs(void **state)
{
	(void)state;
	begin(false);
	assert_int_equal(fake.syscall[1], 0);
	assert_int_equal(vmx_wrmsr(&vcpus[A], MSR_EFER, vcpus[A].state.efer | EFER_SCE), 0);
	assert_int_equal(fake.syscall[1], 0x20);
}

static void an_address_that_is_none_is_refused(void **state)
{
	(void)state;
	begin(true);
	assert_true(vmx_wrmsr(&vcpus[A], MSR_LSTAR, UINT64_C(1) << 47) < 0);
	assert_true(vmx_wrmsr(&vcpus[A], MSR_FMASK, UINT64_C(1) << 32) < 0);
	assert_int_equal(fake.syscall[1], 0x20);
}

static bool dr_accesses_exit(const struct vcpu *vcpu)
{
	return fake.vmcs[vcpu->hw_page.v][VMCS_CPU] & CPU_MOV_DR;
}

static void debug_registers_come_with_the_first_access(void **state)
{
	(void)state;
	begin(false);
	assert_true(dr_accesses_exit(&vcpus[A]) && dr_accesses_exit(&vcpus[B]));
	vmx_debug(&vcpus[A], true);
	assert_false(dr_accesses_exit(&vcpus[A]));
	fake.dr[0] = 0xa0;
	fake.dr[6] = 0xa6;
	vcpu_switch_to(&vcpus[B]);
	assert_true(dr_accesses_exit(&vcpus[A]) && dr_accesses_exit(&vcpus[B]));
	vmx_debug(&vcpus[B], true);
	assert_int_equal(fake.dr[0], 0);
	assert_int_equal(fake.dr[6], 0xffff0ff0);
	fake.dr[3] = 0xb3;
	vcpu_switch_to(&vcpus[A]);
	assert_true(dr_accesses_exit(&vcpus[A]));
	assert_switch_takes(1);
	vmx_debug(&vcpus[A], true);
	assert_int_equal(fake.dr[0], 0xa0);
	assert_int_equal(fake.dr[3], 0);
	assert_int_equal(fake.dr[6], 0xa6);
}

static void breakpoints_come_with_the_vcpu(void **state)
{
	(void)state;
	begin(false);
	vmx_debug(&vcpus[A], true);
	fake.dr[1] = 0xa1;
	fake.vmcs[A][VMCS_GUEST_DR7] = 0x404; /* of DR1 */
	vcpu_switch_to(&vcpus[B]);
	fake.dr[1] = 0;
	vcpu_switch_to(&vcpus[A]);
	assert_int_equal(fake.dr[1], 0xa1);
	assert_false(dr_accesses_exit(&vcpus[A]));
}

static void what_was_seen_is_the_current_dr6(void **state)
{
	static struct guest_state s;

	(void)state;
	begin(false);
	vmx_debug(&vcpus[A], true);
	fake.dr[6] = 0xa6;
	vmx_peek(&vcpus[A], &s);
	assert_int_equal(s.dr6, 0xa6);
	vmx_peek(&vcpus[B], &s);
	assert_int_equal(s.dr6, 0xffff0ff0);
	assert_int_equal(fake.current, A);
}

static void a_vcpu_that_is_put_leaves_nothing_in_the_cpu(void **state)
{
	(void)state;
	begin(false);
	vmx_debug(&vcpus[A], true);
	fake.dr[2] = 0xa2;
	fake.vector[0] = 0xaa;
	vcpu_put(&vcpus[A]);
	assert_false(vcpus[A].debug);
	assert_int_equal(vcpus[A].state.dr[2], 0xa2);
	assert_int_equal(vcpus[A].state.xstate.image[0], 0xaa);
}

/* A system that has just begun has XCR0 as after a reset. */
static void xcr0_is_each_ones_own(void **state)
{
	(void)state;
	begin(true);
	assert_true(xstate_set_xcr0(&vcpus[A].state.xstate, 0, 1));
	vcpu_switch_to(&vcpus[B]);
	assert_int_equal(fake.xcr0, 7);
	vcpu_switch_to(&vcpus[A]);
	assert_int_equal(fake.xcr0, 1);
	xstate_reset(&vcpus[A].state.xstate, true);
	assert_int_equal(vcpus[A].state.xstate.xcr0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_of_payloads_is_one_exit),
		cmocka_unit_test(a_switch_of_systems_with_the_same_msrs_is_one_exit),
		cmocka_unit_test(only_the_msr_that_differs_is_written),
		cmocka_unit_test(msrs_of_whoever_has_no_syscall_stay_out_of_the_cpu),
		cmocka_unit_test(each_finds_its_own_msrs),
		cmocka_unit_test(syscall_is_switched_on_with_its_msrs),
		cmocka_unit_test(an_address_that_is_none_is_refused),
		cmocka_unit_test(debug_registers_come_with_the_first_access),
		cmocka_unit_test(breakpoints_come_with_the_vcpu),
		cmocka_unit_test(what_was_seen_is_the_current_dr6),
		cmocka_unit_test(a_vcpu_that_is_put_leaves_nothing_in_the_cpu),
		cmocka_unit_test(xcr0_is_each_ones_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
