/* SPDX-License-Identifier: MIT */
/* A serial port. See hv/base/serial.h. */
#include "hv/base/serial.h"

#include "mm/lock.h"
#include "mm/x86.h"

/* Registers, from the port on. */
#define DATA    0
#define IER     1
#define FCR     2
#define LCR     3
#define MCR     4
#define LSR     5
#define SCRATCH 7

#define LCR_8N1      0x03
#define LCR_DLAB     0x80
#define FCR_ON_CLEAR 0x07
#define MCR_DTR_RTS  0x03
#define LSR_DATA     0x01
#define LSR_ROOM     0x20 /* the transmit queue is empty */
#define LSR_DRAINED  0x40 /* the last bit is on the wire, too */
#define LSR_NOBODY   0xff /* no port answers */
#define QUEUE        16
#define BAUD_115200  1
#define POLLS_MAX    2000000 /* some 16 characters' time even where polling is quick */

static void out(const struct serial *s, unsigned int reg, uint8_t value)
{
	x86_outb((uint16_t)(s->port + reg), value);
}

static uint8_t in(const struct serial *s, unsigned int reg)
{
	return x86_inb((uint16_t)(s->port + reg));
}

static bool wait_for(const struct serial *s, uint8_t bit)
{
	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		if (in(s, LSR) & bit)
			return true;
		cpu_relax();
	}
	return false;
}

void serial_init(struct serial *s, uint16_t port)
{
	s->port = port;
	s->room = 0;
	out(s, IER, 0);
	out(s, LCR, LCR_DLAB);
	out(s, DATA, BAUD_115200);
	out(s, IER, 0);
	out(s, LCR, LCR_8N1);
	out(s, FCR, FCR_ON_CLEAR);
	out(s, MCR, MCR_DTR_RTS);
	out(s, SCRATCH, 0x5a);
	s->alive = in(s, SCRATCH) == 0x5a;
}

/* Waits until it takes at least one byte. */
static void make_room(struct serial *s)
{
	if (s->room)
		return;
	s->alive = wait_for(s, LSR_ROOM);
	s->room = QUEUE;
}

void serial_put(struct serial *s, uint8_t byte)
{
	if (!s->alive)
		return;
	make_room(s);
	s->room--;
	out(s, DATA, byte);
}

void serial_write(struct serial *s, const uint8_t *bytes, size_t n)
{
	while (n && s->alive) {
		unsigned int part;

		make_room(s);
		part = (unsigned int)MIN(n, (size_t)s->room);
		x86_outsb((uint16_t)(s->port + DATA), bytes, part);
		s->room -= part;
		bytes += part;
		n -= part;
	}
}

unsigned int serial_room(struct serial *s)
{
	if (!s->alive)
		return 0;
	if (!s->room && in(s, LSR) & LSR_ROOM)
		s->room = QUEUE;
	return s->room;
}

int serial_get(const struct serial *s)
{
	uint8_t status = s->alive ? in(s, LSR) : 0;

	return status & LSR_DATA && status != LSR_NOBODY ? in(s, DATA) : -1;
}

void serial_drain(struct serial *s)
{
	if (s->alive)
		wait_for(s, LSR_DRAINED);
}
