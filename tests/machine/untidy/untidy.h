/* SPDX-License-Identifier: MIT */
/* Firmware that hands over an untidy machine: an EFI program that starts the hypervisor, which lies
 * inside it, and spoils what the hypervisor then finds. */
#ifndef TESTS_MACHINE_UNTIDY_UNTIDY_H
#define TESTS_MACHINE_UNTIDY_UNTIDY_H

#include <efi.h>

#include "mm/types.h"

/* Adds CPUs that do not exist to the MADT: IDs too long for the APIC, which cut to 8 bits name CPUs
 * that run, and the IDs that mean all. Return: was there a MADT? */
bool acpi_spoil(EFI_SYSTEM_TABLE *st);

/* Interrupts are off and the firmware is gone: leaves interrupts in service, pending and on their
 * way, by the local APIC, its timer, the I/O APIC and the 8259. */
void interrupts_spoil(void);

/* untidy.asm: turns on 5-level paging. @root: an empty page below 4 GiB, which becomes the root. We
 * and the stack lie below 4 GiB. */
void five_levels(void *root);

/* untidy.asm: the hypervisor's image, and a handler that returns without an EOI. */
extern const char hypervisor[], hypervisor_end[];
extern const char forgetful_handler[];

#endif
