/* SPDX-License-Identifier: MIT */
/*
 * A guest's serial port: a 16550A that nobody wires to an interrupt; but it says what it would
 * interrupt for, since a driver that polls asks for that. What the guest sends is gone at once;
 * what it is to receive waits in a queue (National Semiconductor, PC16550D). Pure; the caller
 * locks.
 */
#ifndef HV_PLATFORM_UART_H
#define HV_PLATFORM_UART_H

#include "mm/types.h"

#define UART_PORT  0x3f8 /* COM1 */
#define UART_PORTS 8
#define UART_QUEUE 64 /* bytes; more than the 16 of the part: a polled guest looks rarely */

struct uart {
	uint8_t ier, fcr, lcr, mcr, scratch, dll, dlm;
	bool overrun;         /* a byte found no room */
	bool emptied;         /* the transmit queue became empty, and nobody has been told */
	uint8_t first, bytes; /* of the queue */
	uint8_t queue[UART_QUEUE];
};

void uart_reset(struct uart *uart);

/* IN. @reg: 0 to 7 */
uint8_t uart_read(struct uart *uart, unsigned int reg);

/* OUT. Return: the byte that the guest sends, or -1. */
int uart_write(struct uart *uart, unsigned int reg, uint8_t value);

/* A byte for the guest. False: there is no room; the guest will see an overrun. */
bool uart_receive(struct uart *uart, uint8_t byte);

#endif
