/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables that a guest finds (ACPI 6.5). They describe a "hardware-reduced" machine: local
 * APICs, one UART that is polled, registers to sleep and to reset. There is no I/O APIC, no timer
 * but the CPU's own, no clock, no keyboard controller, no bus. Pure.
 */
#ifndef HV_PLATFORM_ACPI_H
#define HV_PLATFORM_ACPI_H

#include "mm/types.h"

/* Ports, one byte each. To switch the machine off, the guest writes ACPI_SLEEP_S5 to the control
 * register (4.8.3.7, "Sleep Control and Status Registers"). Before that it writes
 * ACPI_SLEEP_WAKE_STATUS to the status register, which clears the bit: it reads as 0, and a guest
 * that still runs reads it until it is 1. To reset it, the guest writes ACPI_RESET_VALUE to the
 * reset register; Linux does so only if its command line has reboot=acpi, otherwise it takes a
 * reduced machine for one with EFI, finds none, and jumps to F000:FFF0 in real mode. */
#define ACPI_PORT_SLEEP_CONTROL 0x510
#define ACPI_PORT_SLEEP_STATUS  0x511
#define ACPI_PORT_RESET         0x512 /* 4.8.3.6, "Reset Register" */

#define ACPI_SLEEP_TYPE_S5     5
#define ACPI_SLEEP_ENABLE      0x20
#define ACPI_SLEEP_S5          (ACPI_SLEEP_TYPE_S5 << 2 | ACPI_SLEEP_ENABLE)
#define ACPI_SLEEP_WAKE_STATUS 0x80
#define ACPI_RESET_VALUE       0x01

/* COM1, a 16550 without an interrupt. */
#define ACPI_UART_PORT  0x3f8
#define ACPI_UART_PORTS 8

#define ACPI_VCPUS_MAX    255  /* an APIC id has 8 bits, and 255 means all */
#define ACPI_BUFFER_BYTES 4096 /* enough for so many */

struct acpi_config {
	uint64_t gpa;        /* where the guest will find the tables' first byte; 16-byte aligned */
	unsigned int nvcpus; /* 1 .. ACPI_VCPUS_MAX; vCPU i has APIC id i and processor UID i */
};

/**
 * acpi_build() - make a guest's ACPI tables: RSDP, XSDT, FADT, MADT, DSDT.
 * @buffer: becomes their copy, with the RSDP at its start; the caller copies it to @config->gpa and
 *	tells the guest of both (struct linux_input's `acpi`). Bytes behind the tables are not
 *	written.
 * @bytes: of the buffer
 * Return: the tables' bytes; 0, with the buffer as it was, if it is too small or the configuration
 *	makes no sense.
 */
size_t must_check acpi_build(const struct acpi_config *config, void *buffer, size_t bytes);

#endif
