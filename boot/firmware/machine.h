/* SPDX-License-Identifier: MIT */
/* Asking the firmware about the machine, and making devices quiet before we leave it. */
#ifndef BOOT_FIRMWARE_MACHINE_H
#define BOOT_FIRMWARE_MACHINE_H

#include "boot/base/efi.h"
#include "boot/base/plan.h"

/* Finds the enabled CPUs, the I/O APICs and the ACPI root pointer: by ACPI, or the CPUs alone by
 * the firmware's multiprocessor services. */
void find_cpus(struct boot_info *info, struct boot_plan *plan);

/* Adds the enabled CPUs and the I/O APICs of the MADT, and finds the ACPI root pointer.
 * Return: is there a MADT? */
bool acpi_load(struct boot_info *info, struct boot_plan *plan);

/* Measures the time stamp counter. Return: kHz. */
uint64_t tsc_measure(void);

/* Takes the bus from all PCI devices. After that no device writes to memory. */
void pci_quiet(void);

/* Masks the interrupt controllers outside of the CPUs. Call it after boot_services_exit(), since
 * the firmware needs its timer until then, and before enter(), which leaves the page tables that
 * map the controllers. */
void interrupts_quiet(const struct boot_plan *plan);

#endif
