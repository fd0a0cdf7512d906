/* SPDX-License-Identifier: MIT */
/* What the firmware knows of the machine, and what must be quiet before we leave it. */
#ifndef BOOT_FIRMWARE_MACHINE_H
#define BOOT_FIRMWARE_MACHINE_H

#include "boot/base/efi.h"
#include "boot/base/plan.h"

/* Fills in the CPUs that are enabled, and the ACPI root pointer. */
void find_cpus(struct boot_info *info, struct cpu_list *cpus);

/* Adds the enabled CPUs of the MADT, and finds the ACPI root pointer. Return: is there a MADT? */
bool acpi_load(struct boot_info *info, struct cpu_list *cpus);

/* Measures the time stamp counter. Return: kHz. */
uint64_t tsc_measure(void);

/* Takes the bus from all PCI devices: nothing writes to memory behind our back any more. */
void pci_quiet(void);

#endif
