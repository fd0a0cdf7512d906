/* SPDX-License-Identifier: MIT */
/* Running a whole system. See hv/vm/system.h. */
#include "hv/vm/system.h"

#include "hv/base/clock.h"
#include "hv/base/guest_console.h"
#include "mm/apic.h"
#include "mm/percpu.h"
#include "mm/x86.h"

/* Where to look for what only the guest knows. */
#define CONSOLE_KNOWS "its last words are on its console"

#define HALTED_US 20000 /* that all vCPUs have been halted for good */

/* --- sleep --------------------------------------------------------------------------------- */

/* Interrupts are off since the caller's look for something to do, so no kick is lost. */
bool system_rest(const struct vm *vm, uint64_t cycles)
{
	uint64_t now = clock_now(), left = cycles;
	unsigned int me = cpu_id();

	if (!vm->platform)
		return false;
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];
		uint64_t at = vcpu->timer_at;

		if (vcpu->cpu != me)
			continue;
		if (!system_sleeps(vcpu))
			return false;
		if (at)
			left = MIN(left, at > now ? at - now : 1);
	}
	apic_timer(left == UINT64_MAX ? 0 : left);
	x86_sleep();
	apic_timer(0);
	return true;
}

/* --- console ------------------------------------------------------------------------------- */

void system_poll(struct vm *vm)
{
	static uint64_t due;
	uint64_t now = clock_now();
	int byte;

	if (now < due)
		return;
	due = now + us_to_cycles(SYSTEM_POLL_US);
	spin_lock(&vm->platform->lock);
	while (vm->platform->uart.bytes < UART_QUEUE && (byte = guest_console_get()) >= 0)
		(void)uart_receive(&vm->platform->uart, (uint8_t)byte);
	spin_unlock(&vm->platform->lock);
}

/* --- end ----------------------------------------------------------------------------------- */

/* Nothing from outside wakes this vCPU. */
static bool for_good(const struct vcpu *vcpu)
{
	return !atomic_load(&vcpu->asks) &&
	       (vcpu->run == VCPU_PARKED || (vcpu->run == VCPU_IDLE && !vcpu->wakes_open));
}

static bool all_for_good(const struct vm *vm)
{
	bool all = true;

	for (unsigned int i = 0; i < vm->nvcpus; i++)
		all &= for_good(&vm->vcpu[i]);
	return all;
}

static enum platform_end end_of(const struct vm *vm)
{
	return atomic_load_explicit(&vm->platform->end, memory_order_acquire);
}

/* The vCPUs are looked at one by one: so twice, with time between for a message to be sent. */
bool system_over(const struct vm *vm)
{
	static uint64_t since;

	if (end_of(vm) != PLATFORM_RUNS)
		return true;
	if (!all_for_good(vm)) {
		since = 0;
		return false;
	}
	if (!since)
		since = clock_now();
	return clock_now() - since > us_to_cycles(HALTED_US);
}

const char *system_casualty(const struct vm *vm)
{
	switch (end_of(vm)) {
	case PLATFORM_OFF:
		return NULL;
	case PLATFORM_RESET:
		return "the guest reset its machine; " CONSOLE_KNOWS;
	default:
		return all_for_good(vm) ? "all vCPUs halted with interrupts off; " CONSOLE_KNOWS
					: NULL;
	}
}

const char *system_verdict(const struct vm *vm)
{
	switch (atomic_load(&vm->platform->verdict)) {
	case 'P':
		return NULL;
	case 'F':
		return "the guest's own checks failed; " CONSOLE_KNOWS;
	default:
		return "the guest powered off without a verdict: its user space must write P to "
		       "port 0x5c0 before";
	}
}
