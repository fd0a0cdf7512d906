/* SPDX-License-Identifier: MIT */
/* The local APIC of each CPU: see mm/apic.h. */
#include "mm/apic.h"

#include "mm/lock.h"
#include "mm/machine.h"
#include "mm/x86.h"

#define APIC_BASE_EXTD   (UINT64_C(1) << 10)
#define APIC_BASE_ENABLE (UINT64_C(1) << 11)

/* Registers by their offset in the page; in x2APIC mode MSR 0x800 + offset / 16. */
#define REG_ID           0x020
#define REG_VERSION      0x030
#define REG_TPR          0x080
#define REG_EOI          0x0b0
#define REG_SVR          0x0f0
#define REG_ISR          0x100 /* 8 registers, 16 bytes apart */
#define REG_IRR          0x200 /* as many */
#define REG_LVT_CMCI     0x2f0
#define REG_ICR          0x300
#define REG_ICR_HIGH     0x310
#define REG_LVT_TIMER    0x320
#define REG_LVT_THERMAL  0x330
#define REG_LVT_PERF     0x340
#define REG_LVT_LINT0    0x350
#define REG_LVT_LINT1    0x360
#define REG_LVT_ERROR    0x370
#define REG_TIMER_COUNT  0x380
#define REG_TIMER_NOW    0x390
#define REG_TIMER_DIVIDE 0x3e0
#define REG_EXTENDED     0x400 /* AMD: 23:16 how many further sources */
#define REG_LVT_EXTENDED 0x500

#define SVR_ENABLE  0x100
#define LVT_MASKED  0x10000
#define DIVIDE_BY_1 0xb

#define VERSION_EXTENDED     0x80000000 /* AMD */
#define EXTENDED_MAX         4u
#define TPR_ABOVE_EXCEPTIONS 0x10 /* priority class 1 and below are held back */

#define ICR_NMI     0x400
#define ICR_INIT    0x500
#define ICR_STARTUP 0x600
#define ICR_BUSY    0x1000
#define ICR_ASSERT  0x4000

/* Chosen by the boot CPU, the same for all. */
static bool x2apic;

static volatile uint32_t *reg_at(uint32_t reg)
{
	return (volatile uint32_t *)(uintptr_t)(APIC_MAP + reg);
}

static uint32_t reg_read(uint32_t reg)
{
	return x2apic ? (uint32_t)x86_rdmsr(0x800 + reg / 16) : *reg_at(reg);
}

static void reg_write(uint32_t reg, uint32_t value)
{
	if (x2apic)
		x86_wrmsr(0x800 + reg / 16, value);
	else
		*reg_at(reg) = value;
}

/* Gives a message up that the bus never takes: the sender of a kick repeats it. */
static void wait_idle(void)
{
	for (unsigned int i = 0; i < 1000000 && *reg_at(REG_ICR) & ICR_BUSY; i++)
		cpu_relax();
}

static void send(uint32_t to, uint32_t command)
{
	if (x2apic) {
		/* WRMSR to an x2APIC register does not wait for earlier stores by itself. */
		__asm__ volatile("mfence" : : : "memory");
		x86_wrmsr(0x800 + REG_ICR / 16, (uint64_t)to << 32 | command);
		return;
	}
	wait_idle();
	*reg_at(REG_ICR_HIGH) = to << 24;
	*reg_at(REG_ICR) = command;
	wait_idle();
}

hpa_t apic_base(void)
{
	return hpa(x86_rdmsr(MSR_APIC_BASE) & UINT64_C(0xffffffffff000));
}

bool apic_is_x2apic(void)
{
	return x86_rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD;
}

/* AMD's further local sources (APM vol. 2, 16.3.4 "Extended APIC Registers"). */
static void mask_extended(void)
{
	unsigned int n = reg_read(REG_EXTENDED) >> 16 & 0xff;

	for (unsigned int i = 0; i < MIN(n, EXTENDED_MAX); i++)
		reg_write(REG_LVT_EXTENDED + 16 * i, LVT_MASKED);
}

static void mask_local_sources(void)
{
	/* Each is there if the version register's number of the last source reaches it. */
	static const struct {
		uint16_t reg;
		uint16_t number;
	} lvt[] = { { REG_LVT_TIMER, 0 }, { REG_LVT_LINT0, 1 }, { REG_LVT_LINT1, 2 },
		    { REG_LVT_ERROR, 3 }, { REG_LVT_PERF, 4 },  { REG_LVT_THERMAL, 5 },
		    { REG_LVT_CMCI, 6 } };
	uint32_t version = reg_read(REG_VERSION);

	for (unsigned int i = 0; i < ARRAY_LEN(lvt); i++)
		if (lvt[i].number <= (version >> 16 & 0xff))
			reg_write(lvt[i].reg, LVT_MASKED);
	if (version & VERSION_EXTENDED)
		mask_extended();
}

/* Is any vector from 32 on set in a register of 256 bits? */
static bool any_interrupt(uint32_t first)
{
	for (uint32_t i = 1; i < 8; i++)
		if (reg_read(first + 16 * i))
			return true;
	return false;
}

/* Ends the interrupts that the firmware left in service; lets pending ones in and ends them.
 * Bounded: a source that keeps asking would never stop. */
static void drain(void)
{
	for (unsigned int i = 0; i < 256 && (any_interrupt(REG_ISR) || reg_read(REG_ISR)); i++)
		apic_eoi();
	for (unsigned int i = 0; i < 256 && any_interrupt(REG_IRR); i++)
		x86_take_interrupts();
}

void apic_init(void)
{
	uint64_t base = x86_rdmsr(MSR_APIC_BASE);

	if (base & APIC_BASE_EXTD)
		x2apic = true;
	/* x2APIC mode is entered from the enabled xAPIC mode only. */
	x86_wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	if (x2apic)
		x86_wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_EXTD);
	reg_write(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	mask_local_sources();
	/* Vectors 16 to 31 stay outside for good: they would pass for exceptions. */
	reg_write(REG_TPR, TPR_ABOVE_EXCEPTIONS);
	drain();
}

uint32_t apic_id(void)
{
	if (apic_is_x2apic())
		return (uint32_t)x86_rdmsr(0x800 + REG_ID / 16);
	return *(volatile uint32_t *)(uintptr_t)(apic_base().v + REG_ID) >> 24;
}

void apic_eoi(void)
{
	reg_write(REG_EOI, 0);
}

void apic_kick(uint32_t to)
{
	send(to, ICR_ASSERT | VECTOR_KICK);
}

void apic_nmi(uint32_t to)
{
	send(to, ICR_ASSERT | ICR_NMI);
}

void apic_park(uint32_t to)
{
	send(to, ICR_ASSERT | ICR_INIT);
}

void apic_start(uint32_t to, hpa_t trampoline)
{
	send(to, ICR_ASSERT | ICR_STARTUP | (uint32_t)(trampoline.v >> PAGE_SHIFT));
}

/* Timer ticks in 2^32 cycles of the TSC. */
static uint64_t timer_rate;

void apic_timer_calibrate(uint64_t cycles)
{
	uint64_t begin = x86_rdtsc(), end;
	uint32_t left;

	reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	reg_write(REG_LVT_TIMER, LVT_MASKED);
	reg_write(REG_TIMER_COUNT, UINT32_MAX);
	while (x86_rdtsc() - begin < cycles)
		cpu_relax();
	left = reg_read(REG_TIMER_NOW);
	end = x86_rdtsc();
	reg_write(REG_TIMER_COUNT, 0);
	timer_rate = ((uint64_t)(UINT32_MAX - left) << 32) / (end - begin);
}

void apic_timer(uint64_t cycles)
{
	uint64_t ticks = MIN(cycles, UINT64_C(0xffffffff)) * timer_rate >> 32;

	reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	reg_write(REG_LVT_TIMER, cycles ? VECTOR_TIMER : LVT_MASKED);
	reg_write(REG_TIMER_COUNT, cycles ? (uint32_t)MAX(ticks, UINT64_C(1)) : 0);
}
