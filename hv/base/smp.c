/* SPDX-License-Identifier: MIT */
/* Handing work to the other CPUs. See hv/base/smp.h. */
#include "hv/base/smp.h"

#include <stdatomic.h>

#include "hv/base/clock.h"
#include "hv/base/trace.h"
#include "mm/apic.h"
#include "mm/lock.h"
#include "mm/x86.h"

#define REMIND_US 10000

static struct {
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool busy; /* set by the giver, after fn and arg; cleared by the CPU, when done */
	_Atomic uint64_t kicked; /* TSC of the first kick that has not reached the CPU, or 0 */
	_Atomic bool reminded;   /* an NMI is on its way to it; cleared by its handler */
} __attribute__((aligned(CACHE_LINE))) work[MAX_CPUS];

void cpu_start(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	work[cpu].fn = fn;
	work[cpu].arg = arg;
	atomic_store_explicit(&work[cpu].busy, true, memory_order_release);
	cpu_kick(cpu);
}

bool cpu_busy(unsigned int cpu)
{
	return atomic_load_explicit(&work[cpu].busy, memory_order_acquire);
}

void cpu_wait(unsigned int cpu)
{
	while (cpu_busy(cpu))
		cpu_pass();
}

void cpu_pass(void)
{
	x86_take_interrupts();
	cpu_relax();
}

void cpu_kick(unsigned int cpu)
{
	uint64_t none = 0;

	trace(TRACE_KICK, cpu, 0);
	atomic_compare_exchange_strong(&work[cpu].kicked, &none, clock_now() | 1);
	apic_kick(cpus[cpu].apic_id);
}

void cpu_remind(unsigned int cpu)
{
	uint64_t kicked = atomic_load_explicit(&work[cpu].kicked, memory_order_relaxed);
	uint64_t now = clock_now();

	/* One at a time: a second NMI would find its mark taken by the first, and nobody's. */
	if (!kicked || now < kicked + us_to_cycles(REMIND_US) ||
	    atomic_exchange(&work[cpu].reminded, true))
		return;
	trace(TRACE_KICK, cpu, 0);
	apic_nmi(cpus[cpu].apic_id);
}

bool cpu_kicked(bool nmi)
{
	unsigned int me = cpu_id();

	atomic_store_explicit(&work[me].kicked, 0, memory_order_relaxed);
	return nmi && atomic_exchange(&work[me].reminded, false);
}

_Noreturn void cpu_idle(void)
{
	unsigned int me = cpu_id();

	for (;;) {
		/* Interrupts are off between the look and the sleep, so no kick is lost. */
		while (!atomic_load_explicit(&work[me].busy, memory_order_acquire))
			x86_sleep();
		work[me].fn(work[me].arg);
		atomic_store_explicit(&work[me].busy, false, memory_order_release);
	}
}
