/* SPDX-License-Identifier: MIT */
/* The serial port. See hv/platform/uart.h. */
#include "hv/platform/uart.h"

enum {
	REG_DATA,
	REG_IER,
	REG_IIR, /* written: FCR */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCRATCH
};

#define LCR_DLAB 0x80

#define LSR_DATA    0x01
#define LSR_OVERRUN 0x02
#define LSR_EMPTY   0x60 /* the transmit queue, and the shift register */

#define IER_RECEIVED 0x01
#define IER_EMPTY    0x02
#define IER_LINE     0x04

#define IIR_NONE           0x01
#define IIR_EMPTY          0x02
#define IIR_RECEIVED       0x04
#define IIR_LINE           0x06
#define IIR_FIFO           0xc0
#define FCR_ON             0x01
#define FCR_CLEAR_RECEIVED 0x02

#define MCR_LOOP    0x10
#define MCR_KEPT    0x1f
#define MSR_PRESENT 0xb0 /* DCD, DSR, CTS: somebody listens */

void uart_reset(struct uart *uart)
{
	*uart = (struct uart){ .dll = 1 };
}

static uint8_t take(struct uart *uart)
{
	uint8_t byte;

	if (!uart->bytes)
		return 0;
	byte = uart->queue[uart->first];
	uart->first = (uint8_t)((uart->first + 1) % UART_QUEUE);
	uart->bytes--;
	return byte;
}

bool uart_receive(struct uart *uart, uint8_t byte)
{
	if (uart->bytes == UART_QUEUE) {
		uart->overrun = true;
		return false;
	}
	uart->queue[(uart->first + uart->bytes++) % UART_QUEUE] = byte;
	return true;
}

static uint8_t line_status(struct uart *uart)
{
	uint8_t status = LSR_EMPTY | (uart->bytes ? LSR_DATA : 0) |
			 (uart->overrun ? LSR_OVERRUN : 0);

	uart->overrun = false;
	return status;
}

/* In a loop, the modem's inputs are its outputs: RTS as CTS, DTR as DSR, OUT1 as RI, OUT2 as DCD.
 */
static uint8_t modem_status(const struct uart *uart)
{
	uint8_t m = uart->mcr;

	if (!(m & MCR_LOOP))
		return MSR_PRESENT;
	return (uint8_t)((m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4);
}

/* The most urgent of the reasons to interrupt. Reading "empty" takes it back. */
static uint8_t identify(struct uart *uart)
{
	if (uart->ier & IER_LINE && uart->overrun)
		return IIR_LINE;
	if (uart->ier & IER_RECEIVED && uart->bytes)
		return IIR_RECEIVED;
	if (!(uart->ier & IER_EMPTY) || !uart->emptied)
		return IIR_NONE;
	uart->emptied = false;
	return IIR_EMPTY;
}

uint8_t uart_read(struct uart *uart, unsigned int reg)
{
	bool divisor = uart->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return divisor ? uart->dll : take(uart);
	case REG_IER:
		return divisor ? uart->dlm : uart->ier;
	case REG_IIR:
		return identify(uart) | (uart->fcr & FCR_ON ? IIR_FIFO : 0);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return line_status(uart);
	case REG_MSR:
		return modem_status(uart);
	default:
		return uart->scratch;
	}
}

static int send(struct uart *uart, uint8_t byte)
{
	uart->emptied = true;
	if (!(uart->mcr & MCR_LOOP))
		return byte;
	(void)uart_receive(uart, byte);
	return -1;
}

/* Who asks for "empty" is told, if it is so: it is. */
static void enable(struct uart *uart, uint8_t ier)
{
	if (ier & ~uart->ier & IER_EMPTY)
		uart->emptied = true;
	uart->ier = ier;
}

int uart_write(struct uart *uart, unsigned int reg, uint8_t value)
{
	bool divisor = uart->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (!divisor)
			return send(uart, value);
		uart->dll = value;
		break;
	case REG_IER:
		if (divisor)
			uart->dlm = value;
		else
			enable(uart, value & 0x0f);
		break;
	case REG_IIR:
		uart->fcr = value;
		if (value & FCR_CLEAR_RECEIVED)
			uart->bytes = 0;
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		uart->mcr = value & MCR_KEPT;
		break;
	case REG_SCRATCH:
		uart->scratch = value;
		break;
	default: /* LSR and MSR are not written */
		break;
	}
	return -1;
}
