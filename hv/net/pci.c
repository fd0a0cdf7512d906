/* SPDX-License-Identifier: MIT */
/* PCI devices. See hv/net/pci.h. */
#include "hv/net/pci.h"

#include "mm/err.h"
#include "mm/kmap.h"
#include "mm/machine.h"
#include "mm/x86.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u

#define REG_ID         0x00
#define REG_COMMAND    0x04
#define REG_HEADER     0x0c
#define REG_BAR        0x10
#define NO_DEVICE      0xffffu
#define HEADER_MULTI   0x00800000u
#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_NO_INT 0x0400u
#define COMMAND_BITS   0xffffu

#define BAR_PORTS   0x1u
#define BAR_TYPE    0x6u
#define BAR_64_BITS 0x4u
#define BAR_ADDRESS (~UINT64_C(0xf))

#define BUSES     256
#define DEVICES   32
#define FUNCTIONS 8

static uint32_t where_of(unsigned int bus, unsigned int device, unsigned int function)
{
	return bus << 16 | device << 11 | function << 8;
}

static uint32_t config_read(uint32_t where, unsigned int reg)
{
	x86_outl(CONFIG_ADDRESS, CONFIG_ENABLE | where | reg);
	return x86_inl(CONFIG_DATA);
}

static void config_write(uint32_t where, unsigned int reg, uint32_t value)
{
	x86_outl(CONFIG_ADDRESS, CONFIG_ENABLE | where | reg);
	x86_outl(CONFIG_DATA, value);
}

static unsigned int functions_of(uint32_t where)
{
	if ((config_read(where, REG_ID) & NO_DEVICE) == NO_DEVICE)
		return 0;
	return config_read(where, REG_HEADER) & HEADER_MULTI ? FUNCTIONS : 1;
}

static bool find_in(unsigned int bus, unsigned int device, uint32_t id, struct pci_device *found)
{
	unsigned int n = functions_of(where_of(bus, device, 0));

	for (unsigned int function = 0; function < n; function++) {
		found->where = where_of(bus, device, function);
		if (config_read(found->where, REG_ID) == id)
			return true;
	}
	return false;
}

int pci_find(uint16_t vendor, uint16_t device, struct pci_device *found)
{
	uint32_t id = (uint32_t)device << 16 | vendor;

	for (unsigned int bus = 0; bus < BUSES; bus++)
		for (unsigned int i = 0; i < DEVICES; i++)
			if (find_in(bus, i, id, found))
				return 0;
	return -ENODEV;
}

/* A BAR that is written with ones reads as its size's mask; the device must not answer meanwhile.
 */
static uint32_t size_mask(uint32_t where, unsigned int reg)
{
	uint32_t value = config_read(where, reg), mask;

	config_write(where, reg, UINT32_MAX);
	mask = config_read(where, reg);
	config_write(where, reg, value);
	return mask;
}

/* A 64-bit BAR of 4 GiB or more is none of ours: its low half would read as no size. */
static uint64_t bar_bytes(uint32_t where, unsigned int reg)
{
	uint32_t command = config_read(where, REG_COMMAND) & COMMAND_BITS;
	uint32_t mask;

	config_write(where, REG_COMMAND, command & ~(COMMAND_MEMORY | COMMAND_MASTER));
	mask = size_mask(where, reg) & (uint32_t)BAR_ADDRESS;
	config_write(where, REG_COMMAND, command);
	return mask ? (uint64_t)~mask + 1 : 0;
}

volatile void *pci_map(const struct pci_device *device, unsigned int bar, uint64_t *bytes)
{
	unsigned int reg = REG_BAR + 4 * bar;
	uint32_t low = config_read(device->where, reg);
	uint64_t at = low & BAR_ADDRESS;

	if (low & BAR_PORTS)
		return NULL;
	if ((low & BAR_TYPE) == BAR_64_BITS)
		at |= (uint64_t)config_read(device->where, reg + 4) << 32;
	*bytes = bar_bytes(device->where, reg);
	if (!at || *bytes < PAGE_SIZE || at + *bytes > FRAMES_MAP - MMIO_MAP ||
	    kmap_map(MMIO_MAP + at, hpa(at), *bytes, KMAP_W | KMAP_UC))
		return NULL;
	return (volatile void *)(uintptr_t)(MMIO_MAP + at);
}

void pci_enable(const struct pci_device *device)
{
	uint32_t command = config_read(device->where, REG_COMMAND) & COMMAND_BITS;

	config_write(device->where, REG_COMMAND,
		     command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INT);
}
