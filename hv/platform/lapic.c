/* SPDX-License-Identifier: MIT */
/* The local APIC. See hv/platform/lapic.h. */
#include "hv/platform/lapic.h"

/* Registers, by MSR - 0x800 (SDM vol. 3A, "x2APIC Register Address Space"). */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_LDR = 0x0d,
	REG_SPURIOUS = 0x0f,
	REG_ISR = 0x10, /* 8 of them, as of the next two */
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ERRORS = 0x28,
	REG_ICR = 0x30,
	REG_LVT = 0x32, /* LVTS of them */
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF = 0x3f,
};

#define VERSION (0x14u | (LVTS - 1) << 16)

#define SPURIOUS_RESET  0xffu
#define SPURIOUS_WANTED 0x3ffu /* the vector, the software switch, focus checking */
#define SPURIOUS_ON     (1u << 8)

#define LVT_MASKED     (1u << 16)
#define TIMER_MODE     (3u << 17)
#define TIMER_PERIODIC (1u << 17)
#define TIMER_DEADLINE (2u << 17)

#define ERROR_VECTOR_SENT (1u << 5) /* a vector below 16 was sent */

#define ICR_WRITABLE  UINT64_C(0xffffffff000ccfff)
#define ICR_LOGICAL   (1u << 11)
#define ICR_ASSERT    (1u << 14)
#define ICR_SHORTHAND (3u << 18)
#define TO_SELF       (1u << 18)
#define TO_ALL        (2u << 18)
#define TO_OTHERS     (3u << 18)
#define BROADCAST     UINT32_MAX

/* What the guest may set in each local vector: the vector, the mode of delivery, polarity and
 * trigger for the pins, the timer's mode, the mask. */
static const uint32_t lvt_writable[LVTS] = {
	[LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_COUNTERS] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

void lapic_reset(struct lapic *lapic, uint32_t id)
{
	*lapic = (struct lapic){ .id = id, .spurious = SPURIOUS_RESET };
	for (unsigned int i = 0; i < LVTS; i++)
		lapic->lvt[i] = LVT_MASKED;
}

/* --- interrupts that wait ------------------------------------------------------------------ */

static uint64_t bit_of(unsigned int vector)
{
	return UINT64_C(1) << vector % 64;
}

/* The highest bit of the i-th word. */
static int highest(int i, uint64_t bits)
{
	return i * 64 + 63 - __builtin_clzll(bits);
}

static int highest_irr(const struct lapic *lapic)
{
	for (int i = 3; i >= 0; i--) {
		uint64_t bits = atomic_load_explicit(&lapic->irr[i], memory_order_acquire);

		if (bits)
			return highest(i, bits);
	}
	return -1;
}

static int highest_isr(const struct lapic *lapic)
{
	for (int i = 3; i >= 0; i--)
		if (lapic->isr[i])
			return highest(i, lapic->isr[i]);
	return -1;
}

/* SDM vol. 3A, "Task and Processor Priorities". */
static uint32_t priority(const struct lapic *lapic, unsigned int cr8)
{
	int in_service = highest_isr(lapic);
	uint32_t served = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;

	return MAX(served, cr8 << 4);
}

void lapic_post(struct lapic *lapic, unsigned int vector)
{
	atomic_fetch_or(&lapic->irr[vector / 64], bit_of(vector));
}

int lapic_next(const struct lapic *lapic, unsigned int cr8)
{
	int vector = highest_irr(lapic);

	if (vector < 0 || ((uint32_t)vector & 0xf0) <= priority(lapic, cr8))
		return -1;
	return vector;
}

void lapic_take(struct lapic *lapic, unsigned int vector)
{
	atomic_fetch_and(&lapic->irr[vector / 64], ~bit_of(vector));
	lapic->isr[vector / 64] |= bit_of(vector);
}

static void end_of_interrupt(struct lapic *lapic)
{
	int vector = highest_isr(lapic);

	if (vector >= 0)
		lapic->isr[vector / 64] &= ~bit_of((unsigned int)vector);
}

/* --- the timer ----------------------------------------------------------------------------- */

/* It counts at the TSC's rate, divided: register bits 3, 1, 0 are 0 for 2, ... 6 for 128, 7 for 1.
 */
static unsigned int divide_shift(const struct lapic *lapic)
{
	uint32_t code = (lapic->divide & 3) | (lapic->divide >> 1 & 4);

	return (code + 1) & 7;
}

static uint64_t whole_count(const struct lapic *lapic)
{
	return (uint64_t)lapic->initial << divide_shift(lapic);
}

static bool counts(const struct lapic *lapic)
{
	return (lapic->lvt[LVT_TIMER] & TIMER_MODE) <= TIMER_PERIODIC;
}

void lapic_tsc_set(struct lapic *lapic, uint64_t by)
{
	if (counts(lapic) && lapic->deadline)
		lapic->deadline += by;
}

static uint32_t current_count(const struct lapic *lapic, uint64_t now)
{
	if (!counts(lapic) || lapic->deadline <= now)
		return 0;
	return (uint32_t)((lapic->deadline - now) >> divide_shift(lapic));
}

/* 0 disarms. A deadline of 0 means disarmed, so the one moment that is 0 is missed by a cycle. */
static enum lapic_answer start_count(struct lapic *lapic, uint32_t initial, uint64_t now)
{
	lapic->initial = initial;
	if (!counts(lapic))
		return LAPIC_OK;
	lapic->deadline = initial ? MAX(now + whole_count(lapic), UINT64_C(1)) : 0;
	return LAPIC_TIMER;
}

static bool sends(const struct lapic *lapic, enum lapic_lvt lvt)
{
	return lapic->spurious & SPURIOUS_ON && !(lapic->lvt[lvt] & LVT_MASKED) &&
	       (lapic->lvt[lvt] & 0xff) >= 16;
}

void lapic_expire(struct lapic *lapic, uint64_t now)
{
	bool again = (lapic->lvt[LVT_TIMER] & TIMER_MODE) == TIMER_PERIODIC && lapic->initial;
	uint64_t due = lapic->deadline + whole_count(lapic);

	if (sends(lapic, LVT_TIMER))
		lapic_post(lapic, lapic->lvt[LVT_TIMER] & 0xff);
	/* Periods that nobody saw are left out. */
	lapic->deadline = !again ? 0 : due > now ? due : now + whole_count(lapic);
}

/* --- registers ----------------------------------------------------------------------------- */

/* Cluster and place in it (SDM vol. 3A, "Deriving Logical x2APIC ID from the Local x2APIC ID"). */
static uint32_t logical_id(const struct lapic *lapic)
{
	return (lapic->id >> 4) << 16 | 1u << (lapic->id & 15);
}

/* The register's half of what is kept in one word. */
static uint32_t word_of(uint64_t bits, unsigned int reg)
{
	return (uint32_t)(bits >> reg % 2 * 32);
}

bool lapic_read(const struct lapic *lapic, uint32_t msr, uint64_t now, unsigned int cr8,
		uint64_t *value)
{
	uint32_t reg = msr - LAPIC_MSR_FIRST;

	if (msr == MSR_TSC_DEADLINE) {
		*value = counts(lapic) ? 0 : lapic->deadline;
		return true;
	}
	switch (reg) {
	case REG_ID:
		*value = lapic->id;
		return true;
	case REG_VERSION:
		*value = VERSION;
		return true;
	case REG_TPR:
		*value = (uint64_t)cr8 << 4;
		return true;
	case REG_PPR:
		*value = priority(lapic, cr8);
		return true;
	case REG_LDR:
		*value = logical_id(lapic);
		return true;
	case REG_SPURIOUS:
		*value = lapic->spurious;
		return true;
	case REG_ISR ... REG_ISR + 7:
		*value = word_of(lapic->isr[(reg - REG_ISR) / 2], reg - REG_ISR);
		return true;
	case REG_TMR ... REG_TMR + 7: /* no interrupt is level-triggered */
		*value = 0;
		return true;
	case REG_IRR ... REG_IRR + 7:
		*value = word_of(atomic_load_explicit(&lapic->irr[(reg - REG_IRR) / 2],
						      memory_order_relaxed),
				 reg - REG_IRR);
		return true;
	case REG_ERRORS:
		*value = lapic->errors_shown;
		return true;
	case REG_ICR:
		*value = lapic->icr;
		return true;
	case REG_LVT ... REG_LVT + LVTS - 1:
		*value = lapic->lvt[reg - REG_LVT];
		return true;
	case REG_INITIAL:
		*value = lapic->initial;
		return true;
	case REG_CURRENT:
		*value = current_count(lapic, now);
		return true;
	case REG_DIVIDE:
		*value = lapic->divide;
		return true;
	default:
		return false;
	}
}

/* The software switch masks all local vectors, and holds them masked. */
static enum lapic_answer write_spurious(struct lapic *lapic, uint32_t value)
{
	lapic->spurious = value;
	for (unsigned int i = 0; !(value & SPURIOUS_ON) && i < LVTS; i++)
		lapic->lvt[i] |= LVT_MASKED;
	return LAPIC_OK;
}

/* Another mode of the timer disarms it (SDM vol. 3A, "TSC-Deadline Mode"). */
static enum lapic_answer write_lvt(struct lapic *lapic, unsigned int i, uint32_t value)
{
	bool other = i == LVT_TIMER && (value ^ lapic->lvt[i]) & TIMER_MODE;

	lapic->lvt[i] = value | (lapic->spurious & SPURIOUS_ON ? 0 : LVT_MASKED);
	if (!other)
		return LAPIC_OK;
	lapic->deadline = 0;
	return LAPIC_TIMER;
}

static enum lapic_answer write_icr(struct lapic *lapic, uint64_t value)
{
	struct ipi ipi;

	lapic->icr = value;
	if (!lapic_ipi(value, &ipi))
		return LAPIC_OK;
	if (ipi.mode == IPI_FIXED && ipi.vector < 16) {
		lapic->errors |= ERROR_VECTOR_SENT;
		if (sends(lapic, LVT_ERROR))
			lapic_post(lapic, lapic->lvt[LVT_ERROR] & 0xff);
		return LAPIC_OK;
	}
	return LAPIC_SEND;
}

static enum lapic_answer write_deadline(struct lapic *lapic, uint64_t value)
{
	if ((lapic->lvt[LVT_TIMER] & TIMER_MODE) != TIMER_DEADLINE)
		return LAPIC_OK; /* ignored: SDM vol. 3A, "TSC-Deadline Mode" */
	lapic->deadline = value;
	return LAPIC_TIMER;
}

/* Bits that must be 0 in each register that can be written; 0 for those that cannot. */
static uint64_t writable(uint32_t reg)
{
	switch (reg) {
	case REG_TPR:
	case REG_SELF:
		return 0xff;
	case REG_SPURIOUS:
		return SPURIOUS_WANTED;
	case REG_ICR:
		return ICR_WRITABLE;
	case REG_LVT ... REG_LVT + LVTS - 1:
		return lvt_writable[reg - REG_LVT] | 1u << 12; /* the delivery status is ignored */
	case REG_INITIAL:
		return UINT32_MAX;
	case REG_DIVIDE:
		return 0xb;
	default:
		return 0;
	}
}

enum lapic_answer lapic_write(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t now)
{
	uint32_t reg = msr - LAPIC_MSR_FIRST;

	if (msr == MSR_TSC_DEADLINE)
		return write_deadline(lapic, value);
	if (value & ~writable(reg))
		return LAPIC_BAD;
	switch (reg) {
	case REG_TPR:
		return LAPIC_TPR;
	case REG_EOI:
		end_of_interrupt(lapic);
		return LAPIC_OK;
	case REG_SPURIOUS:
		return write_spurious(lapic, (uint32_t)value);
	case REG_ERRORS: /* shows what has come since the last write */
		lapic->errors_shown = lapic->errors;
		lapic->errors = 0;
		return LAPIC_OK;
	case REG_ICR:
		return write_icr(lapic, value);
	case REG_LVT ... REG_LVT + LVTS - 1:
		return write_lvt(lapic, reg - REG_LVT, (uint32_t)value & ~(1u << 12));
	case REG_INITIAL:
		return start_count(lapic, (uint32_t)value, now);
	case REG_DIVIDE:
		lapic->divide = (uint32_t)value;
		return LAPIC_OK;
	case REG_SELF:
		return write_icr(lapic, TO_SELF | ICR_ASSERT | value);
	default:
		return LAPIC_BAD;
	}
}

/* --- commands ------------------------------------------------------------------------------ */

bool lapic_ipi(uint64_t icr, struct ipi *ipi)
{
	*ipi = (struct ipi){
		.mode = (enum ipi_mode)(icr >> 8 & 7),
		.vector = icr & 0xff,
		.assert = icr & ICR_ASSERT,
	};
	return ipi->mode == IPI_FIXED || ipi->mode == IPI_NMI || ipi->mode == IPI_INIT ||
	       ipi->mode == IPI_START;
}

bool lapic_reaches(const struct lapic *lapic, const struct lapic *sender)
{
	uint32_t to = (uint32_t)(sender->icr >> 32), mine = logical_id(lapic);

	switch (sender->icr & ICR_SHORTHAND) {
	case TO_SELF:
		return lapic == sender;
	case TO_ALL:
		return true;
	case TO_OTHERS:
		return lapic != sender;
	}
	if (to == BROADCAST)
		return true;
	if (!(sender->icr & ICR_LOGICAL))
		return to == lapic->id;
	return to >> 16 == mine >> 16 && to & mine & 0xffff;
}
