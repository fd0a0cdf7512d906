/* SPDX-License-Identifier: MIT */
/* The serial console: a 16550 at COM1, polled, since root mode keeps its interrupts off. */
#include "hv/base/console.h"

#include "mm/lock.h"
#include "mm/x86.h"

#define COM1    0x3f8
#define DATA    (COM1 + 0)
#define IER     (COM1 + 1)
#define FCR     (COM1 + 2)
#define LCR     (COM1 + 3)
#define MCR     (COM1 + 4)
#define LSR     (COM1 + 5)
#define SCRATCH (COM1 + 7)

#define LCR_8N1      0x03
#define LCR_DLAB     0x80
#define FCR_ON_CLEAR 0x07
#define MCR_DTR_RTS  0x03
#define LSR_ROOM     0x20 /* the transmit queue is empty */
#define LSR_DRAINED  0x40 /* the last bit is on the wire, too */
#define QUEUE        16
#define BAUD_115200  1
#define POLLS_MAX    2000000 /* some 16 characters' time even where polling is quick */
#define TEXT_MAX     4096    /* bytes of one call */

static struct {
	struct spinlock lock; /* protects the port and the fields below */
	bool alive;
	bool unlocked; /* a panic goes on without the lock */
	unsigned int room;
	char text[TEXT_MAX];
} con;

static bool wait_for(uint8_t bit)
{
	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		if (x86_inb(LSR) & bit)
			return true;
		cpu_relax();
	}
	return false;
}

void console_init(void)
{
	x86_outb(IER, 0);
	x86_outb(LCR, LCR_DLAB);
	x86_outb(DATA, BAUD_115200);
	x86_outb(IER, 0);
	x86_outb(LCR, LCR_8N1);
	x86_outb(FCR, FCR_ON_CLEAR);
	x86_outb(MCR, MCR_DTR_RTS);
	x86_outb(SCRATCH, 0x5a);
	con.alive = x86_inb(SCRATCH) == 0x5a;
	con.room = 0;
}

static void put(char c)
{
	if (!con.alive)
		return;
	if (!con.room) {
		/* A port that takes nothing for so long is given up. */
		con.alive = wait_for(LSR_ROOM);
		con.room = QUEUE;
	}
	con.room--;
	x86_outb(DATA, (uint8_t)c);
}

static void put_text(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			put('\r');
		put(text[i]);
	}
}

static void lock(void)
{
	if (!con.unlocked)
		spin_lock(&con.lock);
}

static void unlock(void)
{
	if (!con.unlocked)
		spin_unlock(&con.lock);
}

void con_write(const char *text, size_t bytes)
{
	lock();
	put_text(text, bytes);
	unlock();
}

void con_vprintf(const char *fmt, va_list ap)
{
	static const char cut[] = "[cut]\n";
	int n;

	lock();
	n = fmt_vprint(con.text, TEXT_MAX, fmt, ap);
	put_text(con.text, MIN((size_t)n, TEXT_MAX - 1));
	if (n >= TEXT_MAX)
		put_text(cut, sizeof(cut) - 1);
	unlock();
}

void con_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	con_vprintf(fmt, ap);
	va_end(ap);
}

void con_break_lock(void)
{
	con.unlocked = true;
}

void con_drain(void)
{
	if (con.alive)
		wait_for(LSR_DRAINED);
}
