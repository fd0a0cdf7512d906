/* SPDX-License-Identifier: MIT */
/* The ports of a whole system. See hv/platform/platform.h. */
#include "hv/platform/platform.h"

#include "hv/platform/acpi.h"

#define RTC_DATA  0x71
#define NO_DEVICE 0xff

/* ACPI 6.5, "Sleep Control and Status Registers": bit 5 enters the state that bits 4:2 name. */
#define SLEEP_ENABLE 0x20

void platform_reset(struct platform *platform)
{
	*platform = (struct platform){ 0 };
	uart_reset(&platform->uart);
}

void platform_move(const struct platform *from, struct platform *to)
{
	to->uart = from->uart;
	atomic_store(&to->given, atomic_load(&from->given));
	atomic_store(&to->end, atomic_load(&from->end));
	atomic_store(&to->ready, atomic_load(&from->ready));
	atomic_store(&to->verdict, atomic_load(&from->verdict));
}

static bool is_uart(uint16_t port)
{
	return port >= UART_PORT && port < UART_PORT + UART_PORTS;
}

uint8_t platform_in(struct platform *platform, uint16_t port, bool finish)
{
	if (is_uart(port))
		return uart_read(&platform->uart, port - UART_PORT);
	switch (port) {
	case WORD_PORT:
		return finish;
	case ACPI_PORT_SLEEP_STATUS:
	case RTC_DATA: /* there is no clock: ones would say that it is being set, for ever */
		return 0;
	default:
		return NO_DEVICE;
	}
}

static void hear(struct platform *platform, uint8_t word)
{
	if (word == 'R')
		atomic_store_explicit(&platform->ready, true, memory_order_release);
	else if (word == 'P' || word == 'F')
		atomic_store_explicit(&platform->verdict, word, memory_order_release);
}

/* The first reason to end is the one that counts. */
static void end(struct platform *platform, enum platform_end why)
{
	uint32_t runs = PLATFORM_RUNS;

	atomic_compare_exchange_strong(&platform->end, &runs, why);
}

int platform_out(struct platform *platform, uint16_t port, uint8_t value)
{
	if (is_uart(port))
		return uart_write(&platform->uart, port - UART_PORT, value);
	switch (port) {
	case WORD_PORT:
		hear(platform, value);
		break;
	case ACPI_PORT_SLEEP_CONTROL:
		if (value & SLEEP_ENABLE)
			end(platform, PLATFORM_OFF);
		break;
	case ACPI_PORT_RESET:
		if (value == ACPI_RESET_VALUE)
			end(platform, PLATFORM_RESET);
		break;
	default:
		break;
	}
	return -1;
}
