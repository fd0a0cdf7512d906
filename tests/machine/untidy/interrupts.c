/* SPDX-License-Identifier: MIT */
/* Interrupts of every origin, left as they are. For xAPIC mode, in which OVMF leaves the APIC. */
#include "mm/x86.h"
#include "tests/machine/untidy/untidy.h"

#define APIC          UINT64_C(0xfee00000)
#define APIC_ICR      0x300
#define APIC_TIMER    0x320
#define APIC_LINT0    0x350
#define APIC_COUNT    0x380
#define ICR_SELF      0x44000 /* fixed, to this CPU alone */
#define TIMER_REPEATS 0x20000
#define LINT_EXTINT   0x700

#define IOAPIC  UINT64_C(0xfec00000)
#define PINS    24
#define PIT_PIN 2

#define PIC1_DATA   0x21
#define PIC2_DATA   0xa1
#define PIT_DATA    0x40
#define PIT_COMMAND 0x43
#define PIT_ONCE    0x30

#define VECTOR_FORGOTTEN 0xf8 /* above all that Cleave uses */
#define VECTOR_PIN       0x80
#define PIN_NMI          0x400
#define PIN_LEVEL        0x8000 /* asks again after each EOI */

struct gate {
	uint16_t offset_low, selector, type, offset_mid;
	uint32_t offset_high, reserved;
};

static void write(uint64_t at, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)at = value;
}

static void ask_ourselves(unsigned int vector)
{
	write(APIC + APIC_ICR, ICR_SELF | vector);
}

/* Takes one interrupt by a handler that forgets the EOI: it stays in service. */
static void leave_in_service(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr;
	struct gate *idt;
	uint64_t handler = (uintptr_t)forgetful_handler;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	idt = (struct gate *)(uintptr_t)idtr.base;
	idt[VECTOR_FORGOTTEN] = idt[0];
	idt[VECTOR_FORGOTTEN].offset_low = (uint16_t)handler;
	idt[VECTOR_FORGOTTEN].offset_mid = (uint16_t)(handler >> 16);
	idt[VECTOR_FORGOTTEN].offset_high = (uint32_t)(handler >> 32);
	ask_ourselves(VECTOR_FORGOTTEN);
	for (unsigned int i = 0; i < 1000; i++)
		__asm__ volatile("sti; nop; cli" : : : "memory");
}

void interrupts_spoil(void)
{
	__asm__ volatile("cli" : : : "memory");
	leave_in_service();
	/* Two that wait behind it; the second would pass for an exception. */
	ask_ourselves(0x40);
	ask_ourselves(0x1e);
	write(APIC + APIC_TIMER, TIMER_REPEATS | 0x60);
	write(APIC + APIC_COUNT, 100000);
	write(APIC + APIC_LINT0, LINT_EXTINT);
	for (unsigned int pin = 0; pin < PINS; pin++) {
		write(IOAPIC, 0x10 + 2 * pin);
		write(IOAPIC + 0x10, pin == PIT_PIN ? PIN_NMI : PIN_LEVEL | (VECTOR_PIN + pin));
	}
	/* In 55 ms. */
	x86_outb(PIT_COMMAND, PIT_ONCE);
	x86_outb(PIT_DATA, 0);
	x86_outb(PIT_DATA, 0);
	x86_outb(PIC1_DATA, 0);
	x86_outb(PIC2_DATA, 0);
}
