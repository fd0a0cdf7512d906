/* SPDX-License-Identifier: MIT */
/*
 * The CPUs that the firmware lists, judged by what the local APIC can address in the mode in which
 * the firmware left it (SDM vol. 3A, "Local APIC ID", "x2APIC Register Address Space"): 8 bits of
 * which 0xff means all, or 32 bits of which 0xffffffff means all. A longer ID that was cut to
 * 8 bits would name another CPU, perhaps ourselves. Pure.
 */
#ifndef BOOT_BASE_CPU_LIST_H
#define BOOT_BASE_CPU_LIST_H

#include "mm/types.h"

#define APIC_ID_ALL8  0xff
#define APIC_ID_ALL32 UINT32_MAX

/* How an ID was listed (ACPI 6.5, 5.2.12.2 and 5.2.12.12; the last: by the firmware itself). */
enum cpu_source {
	CPU_BY_APIC = 1,
	CPU_BY_X2APIC = 2,
	CPU_BY_FIRMWARE = 4
};

/* CPUs that are not used for one reason. */
struct cpus_left_out {
	unsigned int n;
	uint64_t first; /* APIC ID of the first of them */
};

struct cpu_list {
	unsigned int n; /* enabled, the boot CPU first */
	uint32_t apic_id[MAX_CPUS];
	struct cpus_left_out no_room; /* all of MAX_CPUS are taken */
	struct cpus_left_out misfit;  /* the APIC cannot address them */
	struct cpus_left_out doubled; /* listed before, in the same way */
	bool x2apic;
	uint8_t sources[APIC_ID_ALL8 + 1]; /* enum cpu_source, by APIC ID */
	uint8_t all_sources;
};

/* Begins the list with the boot CPU. @x2apic: the mode that the APIC is in */
void cpu_list_begin(struct cpu_list *list, uint32_t apic_id, bool x2apic);

/**
 * cpu_list_add() - add one CPU that is enabled, unless it is known, or count why not.
 * ACPI lists IDs below 255 as CPU_BY_APIC only. Firmware may list one CPU in both ways. Add all of
 * CPU_BY_APIC before those of CPU_BY_X2APIC.
 */
void cpu_list_add(struct cpu_list *list, enum cpu_source source, uint64_t apic_id);

#endif
