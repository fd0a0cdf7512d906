/* SPDX-License-Identifier: MIT */
/* The CPUs that the firmware lists: see boot/base/cpu_list.h. */
#include "boot/base/cpu_list.h"

void cpu_list_begin(struct cpu_list *list, uint32_t apic_id)
{
	*list = (struct cpu_list){ .n = 1, .apic_id = { apic_id } };
}

void cpu_list_add(struct cpu_list *list, uint32_t apic_id)
{
	/* The boot CPU is in the list already, and a MADT may list a CPU as both of its types. */
	for (unsigned int i = 0; i < list->n; i++)
		if (list->apic_id[i] == apic_id)
			return;
	if (list->n < MAX_CPUS)
		list->apic_id[list->n++] = apic_id;
	else
		list->left_out++;
}
