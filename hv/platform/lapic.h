/* SPDX-License-Identifier: MIT */
/*
 * A guest's local APIC in x2APIC mode: registers that MSRs 0x800 to 0x83f reach, the interrupts
 * that wait, and a timer (SDM vol. 3A, "Advanced Programmable Interrupt Controller", "Extended
 * XAPIC (x2APIC)"). There is no page of registers and no other mode: neither is told to the guest.
 *
 * The task priority is not kept here: the vCPU has it as CR8. Pure. All calls but lapic_post() are
 * made by the CPU that runs the vCPU, or while nobody runs it.
 */
#ifndef HV_PLATFORM_LAPIC_H
#define HV_PLATFORM_LAPIC_H

#include <stdatomic.h>

#include "mm/types.h"

#define LAPIC_MSR_FIRST 0x800u
#define LAPIC_MSR_LAST  0x8ffu

#define MSR_TSC_DEADLINE 0x6e0u

enum lapic_lvt {
	LVT_TIMER,
	LVT_THERMAL,
	LVT_COUNTERS,
	LVT_LINT0,
	LVT_LINT1,
	LVT_ERROR,
	LVTS
};

struct lapic {
	uint32_t id; /* and the vCPU's index */
	uint32_t spurious;
	uint32_t lvt[LVTS];
	uint32_t divide, initial; /* of the timer, in the modes that count */
	uint32_t errors;          /* since the last write to ESR */
	uint32_t errors_shown;
	uint64_t icr;
	uint64_t deadline; /* when the timer ends, the guest's TSC; 0: it is not armed */
	uint64_t isr[4];   /* interrupts in service, a bit for each vector */
	_Atomic uint64_t irr[4];
};

enum lapic_answer {
	LAPIC_BAD,   /* raise #GP; nothing has changed */
	LAPIC_OK,    /* perhaps another interrupt can be delivered now */
	LAPIC_TIMER, /* lapic->deadline has changed */
	LAPIC_TPR,   /* set the vCPU's CR8 to value >> 4 */
	LAPIC_SEND,  /* deliver lapic->icr: lapic_reaches() */
};

/* After a reset: the software switch is off, all sources are masked. */
void lapic_reset(struct lapic *lapic, uint32_t id);

/**
 * lapic_read() - RDMSR.
 * @msr: LAPIC_MSR_FIRST to LAPIC_MSR_LAST, or MSR_TSC_DEADLINE
 * @now: the guest's TSC
 * @cr8: of the vCPU
 * Return: false: raise #GP.
 */
bool must_check lapic_read(const struct lapic *lapic, uint32_t msr, uint64_t now, unsigned int cr8,
			   uint64_t *value);

/* WRMSR; parameters as above. */
enum lapic_answer must_check lapic_write(struct lapic *lapic, uint32_t msr, uint64_t value,
					 uint64_t now);

/* Lets an interrupt wait: any CPU may call this at any time. @vector: 16 to 255
 * The caller then makes the vCPU look. */
void lapic_post(struct lapic *lapic, unsigned int vector);

/* The vector that is to be delivered next at this task priority, or -1. */
int lapic_next(const struct lapic *lapic, unsigned int cr8);

/* The CPU accepts it: it is in service until the guest writes EOI. @vector: from lapic_next() */
void lapic_take(struct lapic *lapic, unsigned int vector);

/* The timer, once `now`, the guest's TSC, has reached lapic->deadline: posts its interrupt, and
 * arms it again in the periodic mode. */
void lapic_expire(struct lapic *lapic, uint64_t now);

/* The guest has set its TSC forward by `by` cycles (modulo 2^64). A timer that counts does not
 * follow the TSC; a deadline does. */
void lapic_tsc_set(struct lapic *lapic, uint64_t by);

/* --- the interrupt command register (SDM vol. 3A, "Issuing Interprocessor Interrupts") ---------
 */

enum ipi_mode {
	IPI_FIXED = 0,
	IPI_NMI = 4,
	IPI_INIT = 5,
	IPI_START = 6,
};

struct ipi {
	enum ipi_mode mode;
	unsigned int vector;
	bool assert; /* INIT: false is the end of the signal, which does nothing */
};

/* Takes the command apart. False: a mode that an x2APIC does not have; it sends nothing. */
bool must_check lapic_ipi(uint64_t icr, struct ipi *ipi);

/* Does `sender`'s command concern this APIC? */
bool lapic_reaches(const struct lapic *lapic, const struct lapic *sender);

#endif
