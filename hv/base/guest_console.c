/* SPDX-License-Identifier: MIT */
/* The guest's console. See hv/base/guest_console.h. */
#include "hv/base/guest_console.h"

#include "hv/base/serial.h"
#include "mm/lock.h"

static struct spinlock lock; /* protects the sending side of the port */
static struct serial port;

void guest_console_open(void)
{
	static const char begins[] = GUEST_CONSOLE_BEGINS;

	serial_init(&port, COM2);
	for (size_t i = 0; i < sizeof(begins) - 1; i++)
		serial_put(&port, (uint8_t)begins[i]);
}

void guest_console_put(uint8_t byte)
{
	spin_lock(&lock);
	serial_put(&port, byte);
	spin_unlock(&lock);
}

int guest_console_get(void)
{
	return serial_get(&port);
}
