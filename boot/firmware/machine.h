/* SPDX-License-Identifier: MIT */
/* What the firmware knows of the machine, and what must be quiet before we leave it. */
#ifndef BOOT_FIRMWARE_MACHINE_H
#define BOOT_FIRMWARE_MACHINE_H

#include "boot/base/efi.h"
#include "boot/base/plan.h"

/* Fills in the CPUs that are enabled, the I/O APICs, and the ACPI root pointer. */
void find_cpus(struct boot_info *info, struct boot_plan *plan);

/* Adds the enabled CPUs and the I/O APICs of the MADT, and finds the ACPI root pointer.
 * Return: is there a MADT? */
bool acpi_load(struct boot_info *info, struct boot_plan *plan);

/* Measures the time stamp counter. Return: kHz. */
uint64_t tsc_measure(void);

/* Takes the bus from all PCI devices: nothing writes to memory behind our back any more. */
void pci_quiet(void);

/* Masks the interrupt controllers outside of the CPUs. Call it when the firmware is gone, which
 * needs its timer until then, and while its page tables, which map all devices, are still in use.
 */
void interrupts_quiet(const struct boot_plan *plan);

#endif
