/* SPDX-License-Identifier: MIT */
/* As much of PCI as takes the bus from every device: configuration mechanism #1
 * (PCI Local Bus Specification 3.0, 3.2.2.3.2). */
#include "boot/firmware/machine.h"
#include "mm/x86.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000
#define REG_ID         0x00
#define REG_COMMAND    0x04
#define REG_HEADER     0x0c
#define NO_DEVICE      0xffff
#define COMMAND_MASTER 0x0004
#define COMMAND_BITS   0xffff
#define HEADER_MULTI   0x00800000
#define BUSES          256
#define DEVICES        32
#define FUNCTIONS      8

static void address(unsigned int bus, unsigned int dev, unsigned int fn, unsigned int reg)
{
	x86_outl(CONFIG_ADDRESS, CONFIG_ENABLE | bus << 16 | dev << 11 | fn << 8 | reg);
}

static uint32_t config_read(unsigned int bus, unsigned int dev, unsigned int fn, unsigned int reg)
{
	address(bus, dev, fn, reg);
	return x86_inl(CONFIG_DATA);
}

/* Return: is a function there? */
static bool function_quiet(unsigned int bus, unsigned int dev, unsigned int fn)
{
	uint32_t command;

	if ((config_read(bus, dev, fn, REG_ID) & 0xffff) == NO_DEVICE)
		return false;
	command = config_read(bus, dev, fn, REG_COMMAND) & COMMAND_BITS;
	if (command & COMMAND_MASTER) {
		/* The upper half is the status register: zeros leave it as it is. */
		address(bus, dev, fn, REG_COMMAND);
		x86_outl(CONFIG_DATA, command & ~(uint32_t)COMMAND_MASTER);
	}
	return true;
}

static void device_quiet(unsigned int bus, unsigned int dev)
{
	if (!function_quiet(bus, dev, 0) || !(config_read(bus, dev, 0, REG_HEADER) & HEADER_MULTI))
		return;
	for (unsigned int fn = 1; fn < FUNCTIONS; fn++)
		function_quiet(bus, dev, fn);
}

void pci_quiet(void)
{
	for (unsigned int bus = 0; bus < BUSES; bus++)
		for (unsigned int dev = 0; dev < DEVICES; dev++)
			device_quiet(bus, dev);
}
