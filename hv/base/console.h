/* SPDX-License-Identifier: MIT */
/* The serial console, COM1 by polling, and formatted printing. */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <stdarg.h>

#include "mm/types.h"

/* Sets up the port (115200 8N1). Printing before this goes nowhere. */
void console_init(void);

/* Whole lines of different CPUs never mix: each call holds the console's lock. con_break_lock():
 * a panic goes on without the lock. */
void con_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void con_vprintf(const char *fmt, va_list ap);
void con_write(const char *text, size_t bytes);
void con_break_lock(void);

/**
 * con_feed() - send a text piece by piece, so that nobody waits for a slow port: each
 * con_feed_some() sends what the port takes at once. Whatever else is printed meanwhile comes after
 * the text. Boot CPU only.
 * @text: stays as it is until con_feed_some() says that it is sent
 */
void con_feed(const char *text, size_t bytes);
/* False: all is sent. */
bool con_feed_some(void);

/* Waits, for a bounded time, until the port has sent everything. Call it before the machine ends.
 */
void con_drain(void);

/* Writes at most `size` bytes with the closing 0; knows %d %u %x %lu %ld %lx %llu %llx %zu %s %c %p
 * %%, field width, '-', '0' and %.*s. Returns the length of the whole text in bytes. */
int fmt_print(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap);

#endif
