/* SPDX-License-Identifier: MIT */
/* A serial port of the machine: a 16550, polled, since root mode keeps its interrupts off. The
 * caller locks. */
#ifndef HV_SERIAL_H
#define HV_SERIAL_H

#include "mm/types.h"

#define COM1 0x3f8
#define COM2 0x2f8
#define COM3 0x3e8
#define COM4 0x2e8

struct serial {
	uint16_t port;
	bool alive;
	unsigned int room; /* bytes that it takes before it must be asked again */
};

/* Sets it to 115200 8N1, or notes that it is not there. @port: COM1 to COM4 */
void serial_init(struct serial *s, uint16_t port);

/* Sends a byte. A port that takes nothing for some 16 characters' time is given up. */
void serial_put(struct serial *s, uint8_t byte);

/* Sends bytes: with fewer instructions than one by one. */
void serial_write(struct serial *s, const uint8_t *bytes, size_t n);

/* Bytes that it takes at once: serial_put() does not wait for so many. 0: none just now. */
unsigned int serial_room(struct serial *s);

/* A byte that has come, or -1. */
int serial_get(const struct serial *s);

/* Waits until the last bit is on the wire. */
void serial_drain(struct serial *s);

#endif
