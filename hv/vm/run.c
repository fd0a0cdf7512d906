/* SPDX-License-Identifier: MIT */
/* Running a VM's vCPUs. See hv/vm/run.h. */
#include "hv/vm/run.h"

#include "hv/abi.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/smp.h"
#include "hv/base/trace_stream.h"
#include "hv/cpu/vcpu_dump.h"
#include "hv/vm/system.h"
#include "mm/percpu.h"

#define OVERDUE_US 20000 /* that a slice has not ended */

/*
 * A kick ends a run, but Bochs 2.7 lets no interrupt through to a guest whose RFLAGS.IF is 0: it
 * decides what is masked before it counts the CPU as inside the guest. So with several CPUs, a run
 * also ends by itself.
 */
static bool needs_slice(const struct vm *vm, unsigned int me)
{
	return vm->shared_cpu[me] || ncpus > 1;
}

static bool turn_of(struct vcpu *vcpu, unsigned int me)
{
	if (vcpu->cpu != me)
		return false;
	if (vcpu->run == VCPU_WAITING && vcpu_wait_over(vcpu))
		vcpu->run = VCPU_RUNNING;
	if (system_sleeps(vcpu) && !vcpu_wakes(vcpu))
		return false;
	if (vcpu->run != VCPU_RUNNING)
		return false;
	vcpu_run(vcpu, needs_slice(vcpu->vm, me) ? us_to_cycles(SLICE_US) : 0);
	return true;
}

bool vm_turn(struct vm *vm)
{
	unsigned int me = cpu_id();
	bool any = false;

	tlb_quiesce(&vm->mem.tlb, me);
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		any |= turn_of(&vm->vcpu[i], me);
	return any;
}

/* Saves what this CPU holds of the VM. */
static void leave(struct vm *vm, unsigned int me)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].cpu == me)
			vcpu_put(&vm->vcpu[i]);
	ept_sync(&vm->mem.gather[me]);
	tlb_leave(&vm->mem.tlb, me);
}

static void run_on_this_cpu(void *arg)
{
	struct vm *vm = arg;
	unsigned int me = cpu_id();

	tlb_join(&vm->mem.tlb, me);
	while (!atomic_load_explicit(&vm->stop, memory_order_acquire))
		if (!vm_turn(vm) && !system_rest(vm, UINT64_MAX))
			cpu_pass();
	leave(vm, me);
}

static bool cpu_has_vcpu(const struct vm *vm, unsigned int cpu)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].cpu == cpu)
			return true;
	return false;
}

/*
 * The interrupt that ends a slice can be lost. Seen in QEMU 7.2 with several CPUs: the vector stood
 * in the APIC's IRR, nothing masked it, and yet a guest that spun with interrupts off never exited.
 * (Its VMRUN notes a virtual interrupt without the lock under which devices note theirs; that this
 * was the cause is what we conclude.) Another interrupt brings both. In Bochs 2.7 with SVM it stays
 * masked for as long as the guest keeps interrupts off, and so does the kick: an NMI gets through.
 */
static void kick_overdue(const struct vm *vm)
{
	static uint64_t due;
	uint64_t now = clock_now();

	if (ncpus == 1 || now < due)
		return;
	due = now + us_to_cycles(OVERDUE_US);
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];
		uint64_t end = __atomic_load_n(&vcpu->slice_end, __ATOMIC_RELAXED);

		if (atomic_load(&vcpu->running) && end && now > end + us_to_cycles(OVERDUE_US)) {
			cpu_kick(vcpu->cpu);
			cpu_remind(vcpu->cpu);
		}
	}
}

void vm_start(struct vm *vm)
{
	atomic_store(&vm->stop, false);
	tlb_join(&vm->mem.tlb, 0);
	for (unsigned int cpu = 1; cpu < ncpus; cpu++)
		if (cpu_has_vcpu(vm, cpu))
			cpu_start(cpu, run_on_this_cpu, vm);
}

void vm_stop(struct vm *vm)
{
	atomic_store_explicit(&vm->stop, true, memory_order_release);
	for (unsigned int cpu = 1; cpu < ncpus; cpu++)
		if (cpu_has_vcpu(vm, cpu))
			cpu_kick(cpu);
	for (unsigned int cpu = 1; cpu < ncpus; cpu++)
		/* It may wait for our acknowledgement of a flush. */
		while (cpu_has_vcpu(vm, cpu) && cpu_busy(cpu)) {
			tlb_quiesce(&vm->mem.tlb, 0);
			kick_overdue(vm);
			cpu_pass();
		}
	leave(vm, 0);
}

bool vm_any_over(const struct vm *vm)
{
	return atomic_load_explicit(&vm->over, memory_order_acquire) ||
	       (vm->platform && system_over(vm));
}

bool vm_over(const struct vm *vm)
{
	uint32_t over = atomic_load_explicit(&vm->over, memory_order_acquire);

	return vm->platform ? vm_any_over(vm) : over == vm->nvcpus;
}

bool vm_all_ready(const struct vm *vm)
{
	if (vm->platform)
		return atomic_load_explicit(&vm->platform->ready, memory_order_acquire);
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (!atomic_load_explicit(&vm->vcpu[i].ready, memory_order_acquire))
			return false;
	return true;
}

void vm_rest(struct vm *vm)
{
	if (ncpus > 1 || !vm_turn(vm))
		(void)system_rest(vm, us_to_cycles(SYSTEM_POLL_US));
}

void vm_wait(struct vm *vm)
{
	tlb_quiesce(&vm->mem.tlb, cpu_id());
	trace_stream_poll();
	kick_overdue(vm);
	if (vm->platform)
		system_poll(vm);
	if (ncpus == 1)
		(void)vm_turn(vm);
	else
		cpu_pass();
}

const char *vm_casualty(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];

		if (vcpu->run == VCPU_DEAD) {
			con_printf("cleave: vm %s vcpu %u: stopped: %s\n", vm->name, i,
				   vcpu->death);
			print_vcpu(vcpu, &vcpu->state);
			return "a vCPU was stopped by a fault";
		}
		if (vcpu->run == VCPU_HALTED)
			return "a vCPU halted for good";
	}
	return vm->platform ? system_casualty(vm) : NULL;
}

static const char *verdict_of(const struct vcpu *vcpu)
{
	static const char *const verdicts[] = {
		[ABI_OK] = NULL,
		[ABI_WRONG_DATA] = "the guest found wrong data",
		[ABI_WRONG_CHAIN] = "the guest's hash chain broke",
		[ABI_WRONG_TRAP] = "the guest took an exception that it did not expect",
	};

	if (vcpu->verdict >= ARRAY_LEN(verdicts))
		return "the guest's verdict is none";
	if (verdicts[vcpu->verdict])
		return verdicts[vcpu->verdict];
	if (vcpu->wrong_count)
		return "the guest reported wrong data";
	return vcpu->steps ? NULL : "the guest did nothing";
}

const char *vm_verdict(const struct vm *vm)
{
	const char *why = NULL;

	if (vm->platform)
		return system_verdict(vm);
	for (unsigned int i = 0; !why && i < vm->nvcpus; i++)
		why = verdict_of(&vm->vcpu[i]);
	return why;
}
