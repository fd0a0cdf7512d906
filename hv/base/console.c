/* SPDX-License-Identifier: MIT */
/* The console: COM1. */
#include "hv/base/console.h"

#include "hv/base/serial.h"
#include "mm/lock.h"

#define TEXT_MAX 4096 /* bytes of one call */
#define FEED_MAX 64   /* bytes that con_feed_some() sends at once */

static struct {
	struct spinlock lock; /* protects the port and the text */
	struct serial port;
	bool unlocked; /* a panic goes on without the lock */
	char text[TEXT_MAX];
	const char *feed; /* the rest of what con_feed() sends */
	size_t feed_left;
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

/* Lines do not mix. */
static void end_feed(void)
{
	size_t left = con.feed_left;

	con.feed_left = 0;
	put_text(con.feed, left);
}

void con_write(const char *text, size_t bytes)
{
	lock();
	end_feed();
	put_text(text, bytes);
	unlock();
}

void con_vprintf(const char *fmt, va_list ap)
{
	static const char cut[] = "[cut]\n";
	int n;

	lock();
	end_feed();
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

void con_feed(const char *text, size_t bytes)
{
	lock();
	end_feed();
	con.feed = text;
	con.feed_left = bytes;
	unlock();
}

bool con_feed_some(void)
{
	size_t left;

	lock();
	/* An emulator's port always has room. */
	for (unsigned int i = 0; i < FEED_MAX && con.feed_left && serial_room(&con.port); i++) {
		put_text(con.feed++, 1);
		con.feed_left--;
	}
	left = con.feed_left;
	unlock();
	return left;
}

void con_break_lock(void)
{
	con.unlocked = true;
}

void con_drain(void)
{
	end_feed();
	serial_drain(&con.port);
}
