/* SPDX-License-Identifier: MIT */
/* The CPUs that the firmware lists: see boot/base/cpu_list.h. */
#include "boot/base/cpu_list.h"

void cpu_list_begin(struct cpu_list *list, uint32_t apic_id, bool x2apic)
{
	*list = (struct cpu_list){ .n = 1, .apic_id = { apic_id }, .x2apic = x2apic };
}

static void leave_out(struct cpus_left_out *why, uint64_t apic_id)
{
	if (!why->n++)
		why->first = apic_id;
}

/* ACPI 6.5, 5.2.12.12: the longer entry is for IDs from 255 on. Some firmware fills entries of that
 * type with IDs that no CPU has. */
static bool is_misfit(const struct cpu_list *list, enum cpu_source source, uint64_t apic_id)
{
	bool small = apic_id < APIC_ID_ALL8;

	if (source == CPU_BY_X2APIC && small && list->all_sources & CPU_BY_APIC)
		return !(list->sources[apic_id] & CPU_BY_APIC);
	if (source == CPU_BY_APIC || !list->x2apic)
		return !small;
	return apic_id >= APIC_ID_ALL32;
}

/* Notes who listed it. Return: did the same one before? */
static bool is_doubled(struct cpu_list *list, enum cpu_source source, uint64_t apic_id)
{
	uint8_t before;

	list->all_sources |= (uint8_t)source;
	if (apic_id > APIC_ID_ALL8)
		return false;
	before = list->sources[apic_id];
	list->sources[apic_id] |= (uint8_t)source;
	return before & source;
}

static bool is_known(const struct cpu_list *list, uint64_t apic_id)
{
	for (unsigned int i = 0; i < list->n; i++)
		if (list->apic_id[i] == apic_id)
			return true;
	/* Is it the other entry of a CPU for which there was no room? */
	return apic_id < APIC_ID_ALL8 && list->sources[apic_id];
}

void cpu_list_add(struct cpu_list *list, enum cpu_source source, uint64_t apic_id)
{
	bool known, doubled;

	if (is_misfit(list, source, apic_id)) {
		leave_out(&list->misfit, apic_id);
		return;
	}
	known = is_known(list, apic_id);
	doubled = is_doubled(list, source, apic_id);
	if (doubled)
		leave_out(&list->doubled, apic_id);
	else if (!known && list->n == MAX_CPUS)
		leave_out(&list->no_room, apic_id);
	else if (!known)
		list->apic_id[list->n++] = (uint32_t)apic_id;
}
