/* SPDX-License-Identifier: MIT */
/* The CPUs that the firmware lists. Pure. */
#ifndef BOOT_BASE_CPU_LIST_H
#define BOOT_BASE_CPU_LIST_H

#include "mm/types.h"

struct cpu_list {
	unsigned int n; /* enabled, the boot CPU first */
	uint32_t apic_id[MAX_CPUS];
	unsigned int left_out; /* found no room */
};

/* Begins the list with the boot CPU. */
void cpu_list_begin(struct cpu_list *list, uint32_t apic_id);

/* Adds one CPU, unless it is known or there is no room: then it is counted. */
void cpu_list_add(struct cpu_list *list, uint32_t apic_id);

#endif
