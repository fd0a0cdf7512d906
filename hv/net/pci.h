/* SPDX-License-Identifier: MIT */
/* PCI devices, by configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). Boot
 * CPU only. */
#ifndef HV_NET_PCI_H
#define HV_NET_PCI_H

#include "mm/types.h"

struct pci_device {
	uint32_t where; /* bus, device and function, as the mechanism has them */
};

/* The first device of this kind. -ENODEV. */
int must_check pci_find(uint16_t vendor, uint16_t device, struct pci_device *found);

/**
 * pci_map() - map a memory BAR into the hypervisor's address space, for good: uncached, writable.
 * @bar: 0 to 5
 * @bytes: set to its size
 * Return: its address; or NULL: no memory BAR, one that the firmware gave no address, or no table
 * page.
 */
volatile void *pci_map(const struct pci_device *device, unsigned int bar, uint64_t *bytes);

/* Lets the device answer in memory space and read and write memory by itself, without interrupts.
 */
void pci_enable(const struct pci_device *device);

#endif
