/* SPDX-License-Identifier: MIT */
/*
 * Starting the other CPUs, one at a time (SDM vol. 3A, "Multiple-Processor (MP) Initialization").
 *
 * The mailbox holds the per-CPU data of the one CPU that starts. That CPU takes it out with an
 * exchange, and so does the boot CPU once it has waited long enough. The one that gets the pointer
 * owns the struct, so a late CPU never runs on the next one's data.
 *
 * INIT goes to all at first, and one wait follows it. The manual's 10 ms are for CPUs that are
 * older than virtualization; one that still takes its time misses a start-up message, and gets
 * another, since a CPU that has started ignores it.
 */
#include <stdatomic.h>

#include "boot/base/refuse.h"
#include "boot/bringup/bringup.h"
#include "hv/base/console.h"
#include "hv/hv.h"
#include "hv/base/string.h"
#include "mm/apic.h"
#include "mm/kmap.h"
#include "mm/machine.h"
#include "mm/x86.h"

#define WAIT_US    1000000 /* for one CPU */
#define INIT_US    100     /* from INIT to a start-up message */
#define SOON_US    200     /* from the first start-up message to the second, by the manual */
#define MESSAGE_US 10000   /* and from then on */

/* The tail of boot/bringup/ap.asm. */
struct ap_parameters {
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint32_t code32_offset;
	uint16_t code32_selector;
	uint32_t code64_offset;
	uint16_t code64_selector;
	uint16_t unused;
	uint32_t cr0, cr3, cr4;
	uint64_t mailbox;
	uint64_t entry;
} __attribute__((packed));

_Static_assert(offsetof(struct cpu, stack_top) == 16, "boot/bringup/ap.asm knows this offset");

extern const char ap_code[], ap_code_end[], ap_parameters[];

static _Atomic(struct cpu *) mailbox;
static _Atomic unsigned int alive; /* CPUs that reached ap_main() */
static _Atomic bool released;

static _Noreturn void ap_main(struct cpu *cpu)
{
	cpu_load(cpu);
	apic_init();
	atomic_fetch_add(&alive, 1);
	while (!atomic_load(&released))
		cpu_relax();
	/* The boot CPU has unmapped the trampoline and sealed the IDT meanwhile. */
	kmap_flush();
	hv_cpu_main();
}

void ap_prepare(hpa_t trampoline)
{
	char *page = (char *)(uintptr_t)trampoline.v;
	uintptr_t code = (uintptr_t)ap_code;
	uintptr_t parameters = (uintptr_t)page + ((uintptr_t)ap_parameters - code);
	struct ap_parameters *p = (struct ap_parameters *)parameters;
	uint32_t base = (uint32_t)trampoline.v;

	memcpy(page, ap_code, (uintptr_t)ap_code_end - code);
	p->gdt_base += base;
	p->code32_offset += base;
	p->code64_offset += base;
	p->cr0 = (uint32_t)cpu_cr0();
	p->cr3 = (uint32_t)kmap_cr3();
	p->cr4 = (uint32_t)cpu_cr4();
	p->mailbox = (uintptr_t)&mailbox;
	p->entry = (uintptr_t)ap_main;
}

static void init_all(const struct boot_plan *plan, uint64_t tsc_khz)
{
	uint64_t start;

	for (unsigned int i = 1; i < plan->cpus.n; i++)
		apic_park(plan->cpus.apic_id[i]);
	start = x86_rdtsc();
	while (x86_rdtsc() - start < INIT_US * tsc_khz / 1000)
		cpu_relax();
}

static bool wait_alive(unsigned int count, uint64_t us, uint64_t tsc_khz)
{
	uint64_t start = x86_rdtsc();

	while (atomic_load(&alive) != count)
		if (x86_rdtsc() - start > us * tsc_khz / 1000)
			return false;
		else
			cpu_relax();
	return true;
}

/* Return: has it started? */
static bool call(const struct boot_plan *plan, uint32_t apic, uint64_t tsc_khz)
{
	uint64_t us = SOON_US;

	for (uint64_t waited = 0; waited < WAIT_US; waited += us, us = MESSAGE_US) {
		apic_start(apic, plan->trampoline);
		if (wait_alive(ncpus, us, tsc_khz))
			return true;
	}
	return false;
}

static bool ap_start(const struct boot_plan *plan, uint32_t apic, uint64_t tsc_khz)
{
	cpu_prepare(ncpus, apic);
	atomic_store(&mailbox, &cpus[ncpus]);
	if (call(plan, apic, tsc_khz))
		return true;
	/* It has taken its struct and is on its way: give it as long again. */
	if (!atomic_exchange(&mailbox, NULL) && wait_alive(ncpus, WAIT_US, tsc_khz))
		return true;
	apic_park(apic);
	return false;
}

void ap_start_all(const struct boot_plan *plan, uint64_t tsc_khz)
{
	uint64_t page = plan->trampoline.v;

	if (plan->cpus.n == 1)
		return;
	if (kmap_map(page, plan->trampoline, PAGE_SIZE, KMAP_X))
		refuse("the start-up page of the other CPUs cannot be mapped");
	init_all(plan, tsc_khz);
	for (unsigned int i = 1; i < plan->cpus.n; i++) {
		if (ap_start(plan, plan->cpus.apic_id[i], tsc_khz))
			ncpus++;
		else
			con_printf("cleave: the CPU with APIC ID %u does not start: left out\n",
				   plan->cpus.apic_id[i]);
	}
	if (kmap_unmap(page, PAGE_SIZE))
		refuse("the start-up page of the other CPUs cannot be unmapped");
}

void ap_release(void)
{
	atomic_store(&released, true);
}
