/* SPDX-License-Identifier: MIT */
/* The console: COM1. */
#include "hv/base/console.h"

#include "hv/base/serial.h"
#include "mm/lock.h"

#define TEXT_MAX 4096 /* bytes of one call */

static struct {
	struct spinlock lock; /* protects the port and the text */
	struct serial port;
	bool unlocked; /* a panic goes on without the lock */
	char text[TEXT_MAX];
} con;

void console_init(void)
{
	serial_init(&con.port, COM1);
}

static void put_text(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			serial_put(&con.port, '\r');
		serial_put(&con.port, (uint8_t)text[i]);
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
	serial_drain(&con.port);
}
