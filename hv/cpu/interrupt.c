/* SPDX-License-Identifier: MIT */
/*
 * What reaches a vCPU from outside: interrupts of its local APIC, messages of other vCPUs, its
 * timer. Whoever has something for it sets a bit of vcpu->asks; the vCPU looks before each entry,
 * and wherever it waits.
 */
#include "hv/base/clock.h"
#include "hv/base/smp.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "mm/percpu.h"

#define LOOK_US 20 /* that an interrupt waits for a look, where there is no window */

/* The bits are set before the kick, and the vCPU says that it runs before it looks at them: either
 * it sees them, or the kick makes it exit. One that sleeps is woken. */
static void ask(struct vcpu *vcpu, uint32_t asks)
{
	atomic_fetch_or(&vcpu->asks, asks);
	if (vcpu->cpu != cpu_id())
		cpu_kick(vcpu->cpu);
}

/* --- delivery ------------------------------------------------------------------------------ */

/* Where the CPU cannot tell when it takes interrupts, the vCPU exits after a while to be asked. */
static void want_window(struct vcpu *vcpu, bool on)
{
	uint64_t before = vcpu->look_at;

	if (vendor->window(vcpu, on))
		return;
	vcpu->look_at = on ? clock_now() + us_to_cycles(LOOK_US) : 0;
	if (before || on)
		vcpu_set_until(vcpu);
}

/*
 * The bit is cleared first: what is posted meanwhile sets it again. What a handler holds back needs
 * no look, since EOI asks again. What the task priority alone holds back is looked at before each
 * entry: on SVM a guest writes CR8 without an exit. So there it may wait until the vCPU's slice
 * ends; Linux writes its priority through the APIC.
 */
static void deliver_interrupt(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->state.lapic;
	bool waits = false;
	int vector;

	atomic_fetch_and(&vcpu->asks, ~ASK_INTERRUPT);
	if (lapic_next(lapic, 0) >= 0) {
		vector = lapic_next(lapic, vendor->cr8(vcpu));
		if (vector >= 0 && vendor->open(vcpu)) {
			lapic_take(lapic, (unsigned int)vector);
			vendor->interrupt(vcpu, (unsigned int)vector);
			vcpu->stats.interrupts++;
		}
		waits = lapic_next(lapic, 0) >= 0;
	}
	want_window(vcpu, waits && lapic_next(lapic, vendor->cr8(vcpu)) >= 0);
	if (waits)
		atomic_fetch_or(&vcpu->asks, ASK_INTERRUPT);
}

/* One that cannot be delivered now is tried again at the next exit. */
static void deliver_nmi(struct vcpu *vcpu)
{
	if (!vendor->nmi_open(vcpu))
		return;
	atomic_fetch_and(&vcpu->asks, ~ASK_NMI);
	vendor->nmi(vcpu);
}

bool vcpu_answer(struct vcpu *vcpu)
{
	uint32_t asks = atomic_load_explicit(&vcpu->asks, memory_order_acquire);

	if (asks & ASK_INIT) {
		vcpu->run = VCPU_PARKED; /* vcpu_wakes() does the rest */
		return false;
	}
	if (asks & ASK_START) /* it is not parked */
		atomic_fetch_and(&vcpu->asks, ~(ASK_START | ASK_PAGE));
	if (asks & ASK_NMI)
		deliver_nmi(vcpu);
	if (asks & ASK_INTERRUPT)
		deliver_interrupt(vcpu);
	return true;
}

/* --- the timer ----------------------------------------------------------------------------- */

static uint64_t guest_tsc(const struct vcpu *vcpu, uint64_t now)
{
	return now + vcpu->state.tsc_offset;
}

/* A deadline of the guest's, in our time. One that has passed already is now. */
static void set_timer(struct vcpu *vcpu)
{
	uint64_t now = clock_now(), deadline = vcpu->state.lapic.deadline;
	uint64_t at = deadline <= guest_tsc(vcpu, now) ? now : deadline - vcpu->state.tsc_offset;

	vcpu->timer_at = deadline ? MAX(at, UINT64_C(1)) : 0;
	vcpu_set_until(vcpu);
}

/* Of two times, where 0 is never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

void vcpu_set_until(struct vcpu *vcpu)
{
	vcpu->until = earlier(earlier(vcpu->slice_end, vcpu->timer_at), vcpu->look_at);
}

static void expire(struct vcpu *vcpu)
{
	uint64_t now = clock_now();

	if (!vcpu->timer_at || now < vcpu->timer_at)
		return;
	lapic_expire(&vcpu->state.lapic, guest_tsc(vcpu, now));
	atomic_fetch_or(&vcpu->asks, ASK_INTERRUPT);
	set_timer(vcpu);
}

bool vcpu_time(struct vcpu *vcpu)
{
	expire(vcpu);
	return !vcpu->slice_end || clock_now() < vcpu->slice_end;
}

void vcpu_move_asks(const struct vcpu *from, struct vcpu *to)
{
	to->wakes_open = from->wakes_open;
	to->idle_cr8 = from->idle_cr8;
	atomic_store(&to->asks, atomic_load(&from->asks) | ASK_INTERRUPT);
	set_timer(to);
}

/* --- waking -------------------------------------------------------------------------------- */

void vcpu_sleep(struct vcpu *vcpu)
{
	vcpu->wakes_open = vendor->interrupts_on(vcpu);
	vcpu->idle_cr8 = vendor->cr8(vcpu);
	vcpu->run = VCPU_IDLE;
}

static bool start(struct vcpu *vcpu, uint32_t asks)
{
	if (asks & ASK_INIT) {
		vcpu_put(vcpu);
		vcpu_park(vcpu);
		atomic_fetch_and(&vcpu->asks, ~(ASK_INIT | ASK_INTERRUPT | ASK_NMI));
	}
	if (!(asks & ASK_START))
		return false;
	atomic_fetch_and(&vcpu->asks, ~(ASK_START | ASK_PAGE));
	vcpu_start_at(vcpu, asks >> ASK_PAGE_SHIFT);
	return true;
}

bool vcpu_wakes(struct vcpu *vcpu)
{
	uint32_t asks;

	expire(vcpu);
	asks = atomic_load_explicit(&vcpu->asks, memory_order_acquire);
	if (!asks)
		return false;
	if (vcpu->run == VCPU_PARKED || asks & ASK_INIT) {
		vcpu->run = VCPU_PARKED;
		if (!start(vcpu, asks))
			return false;
	} else if (!(asks & ASK_NMI) &&
		   (!vcpu->wakes_open || lapic_next(&vcpu->state.lapic, vcpu->idle_cr8) < 0)) {
		return false;
	}
	vcpu->run = VCPU_RUNNING;
	return true;
}

/* --- messages ------------------------------------------------------------------------------ */

static void send_to(struct vcpu *vcpu, const struct ipi *ipi)
{
	switch (ipi->mode) {
	case IPI_FIXED:
		lapic_post(&vcpu->state.lapic, ipi->vector);
		ask(vcpu, ASK_INTERRUPT);
		break;
	case IPI_NMI:
		ask(vcpu, ASK_NMI);
		break;
	case IPI_INIT:
		if (ipi->assert)
			ask(vcpu, ASK_INIT);
		break;
	case IPI_START:
		ask(vcpu, ASK_START | ipi->vector << ASK_PAGE_SHIFT);
		break;
	}
}

/* Return: does a receiver share this CPU? */
static bool send(struct vcpu *vcpu)
{
	const struct lapic *sender = &vcpu->state.lapic;
	struct vm *vm = vcpu->vm;
	bool shares = false;
	struct ipi ipi;

	if (!lapic_ipi(sender->icr, &ipi))
		return false;
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		struct vcpu *to = &vm->vcpu[i];

		if (!lapic_reaches(&to->state.lapic, sender))
			continue;
		send_to(to, &ipi);
		shares |= to != vcpu && to->cpu == vcpu->cpu;
	}
	return shares;
}

bool vcpu_after_lapic(struct vcpu *vcpu, enum lapic_answer answer, uint64_t value)
{
	switch (answer) {
	case LAPIC_TIMER:
		set_timer(vcpu);
		return true;
	case LAPIC_TPR:
		vendor->set_cr8(vcpu, (unsigned int)value >> 4);
		break;
	case LAPIC_SEND:
		return !send(vcpu);
	default:
		break;
	}
	atomic_fetch_or_explicit(&vcpu->asks, ASK_INTERRUPT, memory_order_relaxed);
	return true;
}
