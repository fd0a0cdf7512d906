/* SPDX-License-Identifier: MIT */
/* The local APIC: starting and kicking CPUs, and a timer (SDM vol. 3A, "Advanced Programmable
 * Interrupt Controller"). Works through MSRs where the firmware left x2APIC mode on, elsewhere
 * through the mapped page. */
#ifndef MM_APIC_H
#define MM_APIC_H

#include "mm/machine.h"
#include "mm/types.h"

#define VECTOR_FIRST    32   /* vectors below are exceptions */
#define VECTOR_KICK     0xf0 /* "leave the guest and look" */
#define VECTOR_TIMER    0xf1
#define VECTOR_SPURIOUS 0xff

/* Where the APIC's page is mapped, uncached (mm/machine.h); not used in x2APIC mode. */
#define APIC_MAP MMIO_MAP

/* Where the APIC's page lies. */
hpa_t apic_base(void);

/* Did the firmware leave it in x2APIC mode? */
bool apic_is_x2apic(void);

/**
 * apic_init() - enable it: on each CPU, once, with its descriptor tables loaded and interrupts off.
 * Masks its local sources and lets pending interrupts in; hv_trap() ends them. Map the APIC's page
 * before the boot CPU's call.
 */
void apic_init(void);

/* The ID of this CPU's APIC, the address of messages to it. Call it while the firmware's page
 * tables are in use: they map the APIC where it lies. */
uint32_t apic_id(void);

/* Ends the interrupt that is in service. */
void apic_eoi(void);

/* Sends VECTOR_KICK, or an NMI, to one CPU. */
void apic_kick(uint32_t apic_id);
void apic_nmi(uint32_t apic_id);

/* Sends INIT: the CPU waits for a start-up message and does nothing else. */
void apic_park(uint32_t apic_id);

/* Sends a start-up message for the page at `trampoline` (below 1 MiB, 4 KiB aligned). A CPU that
 * does not wait for one ignores it. */
void apic_start(uint32_t apic_id, hpa_t trampoline);

/* Measures the timer against the TSC, for `cycles`. Call it once, on the boot CPU. */
void apic_timer_calibrate(uint64_t cycles);

/* One-shot timer of this CPU: VECTOR_TIMER comes after `cycles` of the TSC; 0 disarms. */
void apic_timer(uint64_t cycles);

#endif
