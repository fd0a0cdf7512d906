/* SPDX-License-Identifier: MIT */
/*
 * Masks what could still interrupt us once the firmware is gone: both 8259s and the pins of every
 * I/O APIC (82093AA data sheet, 3.2). pci_quiet() ends message-signalled interrupts, apic_init()
 * each CPU's own ones.
 */
#include "boot/firmware/machine.h"
#include "mm/x86.h"

#define PIC1_DATA 0x21
#define PIC2_DATA 0xa1

#define IOAPIC_USUAL  UINT64_C(0xfec00000)
#define IOAPIC_SELECT 0x00 /* offsets, bytes */
#define IOAPIC_WINDOW 0x10
#define REG_VERSION   0x01             /* 23:16 the number of the last pin */
#define REG_PIN(n)    (0x10 + 2 * (n)) /* its lower half */
#define PIN_MASKED    UINT32_C(0x10000)
#define NOTHING_THERE UINT32_MAX

static volatile uint32_t *reg(uint64_t ioapic, uint64_t offset)
{
	return (volatile uint32_t *)(uintptr_t)(ioapic + offset);
}

static void ioapic_quiet(uint64_t ioapic)
{
	uint32_t version;

	*reg(ioapic, IOAPIC_SELECT) = REG_VERSION;
	version = *reg(ioapic, IOAPIC_WINDOW);
	if (version == NOTHING_THERE)
		return;
	/* Edge-triggered at the same time: a pin that waits for its EOI forgets that. */
	for (uint32_t pin = 0; pin <= (version >> 16 & 0xff); pin++) {
		*reg(ioapic, IOAPIC_SELECT) = REG_PIN(pin);
		*reg(ioapic, IOAPIC_WINDOW) = PIN_MASKED;
	}
}

/* A table that calls memory an I/O APIC is wrong, and memory must not be written to. */
static bool is_memory(const struct ranges *ram, uint64_t address)
{
	uint64_t pfn = address >> PAGE_SHIFT;

	for (unsigned int i = 0; i < ram->n; i++)
		if (pfn >= ram->r[i].pfn && pfn - ram->r[i].pfn < ram->r[i].frames)
			return true;
	return address < MIB;
}

void interrupts_quiet(const struct boot_plan *plan)
{
	x86_outb(PIC1_DATA, 0xff);
	x86_outb(PIC2_DATA, 0xff);
	if (!plan->nioapics)
		ioapic_quiet(IOAPIC_USUAL);
	for (unsigned int i = 0; i < plan->nioapics; i++)
		if (!is_memory(&plan->ram, plan->ioapic[i]))
			ioapic_quiet(plan->ioapic[i]);
}
