/* SPDX-License-Identifier: MIT */
/* The ports and the MSRs of a whole system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hv/platform/acpi.h"
#include "hv/platform/platform.h"
#include "mm/err.h"

#define DATA    (UART_PORT + 0)
#define IER     (UART_PORT + 1)
#define IIR     (UART_PORT + 2)
#define LCR     (UART_PORT + 3)
#define MCR     (UART_PORT + 4)
#define LSR     (UART_PORT + 5)
#define MSR     (UART_PORT + 6)
#define SCRATCH (UART_PORT + 7)

static struct platform p;

static int begin(void **state)
{
	(void)state;
	platform_reset(&p);
	return 0;
}

static uint8_t in(uint16_t port)
{
	return platform_in(&p, port, false);
}

static int out(uint16_t port, uint8_t value)
{
	return platform_out(&p, port, value);
}

/* --- the serial port ------------------------------------------------------------------------ */

/* What Linux' 8250 driver tries to find out what it is. */
static void it_is_a_16550A(void **state)
{
	(void)state;
	out(IER, 0);
	assert_int_equal(in(IER), 0);
	out(IER, 0x0f);
	assert_int_equal(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	out(MCR, 0x1a); /* a loop, RTS and OUT2 */
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	assert_int_equal(in(IIR)&0xc0, 0);
	out(IIR, 1);
	assert_int_equal(in(IIR)&0xc0, 0xc0);
	out(SCRATCH, 0x5a);
	assert_int_equal(in(SCRATCH), 0x5a);
	out(LCR, 0x80);
	out(DATA, 0x12);
	out(IER, 0x34);
	assert_int_equal(in(DATA), 0x12);
	assert_int_equal(in(IER), 0x34);
	out(LCR, 3);
	assert_int_equal(in(LCR), 3);
	assert_int_equal(in(IER), 0);
}

static void bytes_go_out_at_once(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		assert_true((in(LSR)&0x60) == 0x60);
		assert_int_equal(out(DATA, (uint8_t)byte), byte);
	}
}

static void bytes_wait_for_the_guest_in_order(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < UART_QUEUE; i++)
		assert_true(uart_receive(&p.uart, (uint8_t)i));
	assert_false(uart_receive(&p.uart, 0xff));
	assert_true(in(LSR)&2); /* an overrun, said once */
	assert_false(in(LSR)&2);
	for (unsigned int i = 0; i < UART_QUEUE; i++) {
		assert_true(in(LSR)&1);
		assert_int_equal(in(DATA), i);
	}
	assert_false(in(LSR)&1);
	assert_int_equal(in(DATA), 0);
	assert_true(uart_receive(&p.uart, 1));
	out(IIR, 3); /* clears what has come */
	assert_false(in(LSR)&1);
}

static void it_says_what_it_would_interrupt_for(void **state)
{
	(void)state;
	assert_int_equal(in(IIR), 1);
	out(IER, 3);
	assert_int_equal(in(IIR), 2); /* empty, said once */
	assert_int_equal(in(IIR), 1);
	assert_int_equal(out(DATA, 'x'), 'x');
	assert_int_equal(in(IIR), 2);
	assert_true(uart_receive(&p.uart, 'y'));
	assert_int_equal(in(IIR), 4); /* until it is read */
	assert_int_equal(in(IIR), 4);
	assert_int_equal(in(DATA), 'y');
	assert_int_equal(in(IIR), 1);
	out(IER, 0);
	out(IER, 2);
	assert_int_equal(in(IIR), 2); /* who asks anew is told */
}

static void in_a_loop_it_hears_itself(void **state)
{
	(void)state;
	out(MCR, 0x10);
	assert_int_equal(out(DATA, 'x'), -1);
	assert_int_equal(in(DATA), 'x');
}

/* --- the switches ---------------------------------------------------------------------------- */

static void only_the_right_words_end_it(void **state)
{
	(void)state;
	for (unsigned int value = 0; value < 256; value++) {
		begin(state);
		out(ACPI_PORT_SLEEP_CONTROL, (uint8_t)value);
		assert_int_equal(p.end, value & ACPI_SLEEP_ENABLE ? PLATFORM_OFF : PLATFORM_RUNS);
		begin(state);
		out(ACPI_PORT_RESET, (uint8_t)value);
		assert_int_equal(p.end, value == ACPI_RESET_VALUE ? PLATFORM_RESET : PLATFORM_RUNS);
	}
	begin(state);
	out(ACPI_PORT_SLEEP_CONTROL, ACPI_SLEEP_S5);
	out(ACPI_PORT_RESET, ACPI_RESET_VALUE);
	assert_int_equal(p.end, PLATFORM_OFF); /* the first one counts */
}

static void words_to_the_hypervisor(void **state)
{
	(void)state;
	assert_false(p.ready || p.verdict);
	out(WORD_PORT, 'x');
	assert_false(p.ready || p.verdict);
	out(WORD_PORT, 'R');
	assert_true(p.ready);
	out(WORD_PORT, 'F');
	assert_int_equal(p.verdict, 'F');
	assert_int_equal(platform_in(&p, WORD_PORT, false), 0);
	assert_int_equal(platform_in(&p, WORD_PORT, true), 1);
}

static void other_ports_have_no_device(void **state)
{
	(void)state;
	for (unsigned int port = 0; port < 0x10000; port++) {
		bool there = (port >= UART_PORT && port < UART_PORT + 8) || port == WORD_PORT ||
			     port == ACPI_PORT_SLEEP_STATUS || port == 0x71;

		if (!there)
			assert_int_equal(in((uint16_t)port), 0xff);
	}
	assert_int_equal(in(0x71), 0); /* a clock that is never being set */
}

static void what_moves(void **state)
{
	static struct platform to;

	(void)state;
	out(WORD_PORT, 'R');
	out(WORD_PORT, 'P');
	out(LCR, 0x1b);
	assert_true(uart_receive(&p.uart, 'k'));
	platform_reset(&to);
	platform_move(&p, &to);
	assert_true(to.ready);
	assert_int_equal(to.verdict, 'P');
	assert_int_equal(platform_in(&to, LCR, false), 0x1b);
	assert_int_equal(platform_in(&to, DATA, false), 'k');
}

/* --- MSRs ------------------------------------------------------------------------------------ */

static void msrs_that_hold_nothing(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} has[] = {
		{ 0x17, 0 },       { 0x1b, 0xfee00d00 }, { 0x8b, 0 },      { 0xfe, 0 },
		{ 0x1a0, 1 },      { 0x1d9, 0 },         { 0x2ff, 0x806 }, { 0xc0010015, 1u << 24 },
		{ 0xc001001f, 0 },
	};
	struct platform_msrs m;
	uint64_t value;
	unsigned int found = 0;

	(void)state;
	platform_msrs_reset(&m);
	for (size_t i = 0; i < ARRAY_LEN(has); i++) {
		assert_int_equal(platform_rdmsr(&m, has[i].msr, true, &value), 0);
		assert_int_equal(value, has[i].value);
	}
	assert_int_equal(platform_rdmsr(&m, 0x1b, false, &value), 0);
	assert_int_equal(value, 0xfee00c00); /* not the boot CPU */
	for (uint32_t high = 0; high < 3; high++)
		for (uint32_t low = 0; low < 0x2000; low++) {
			uint32_t msr = (high ? 0xbfff0000 + high * 0x10000 : 0) + low;

			found += platform_rdmsr(&m, msr, true, &value) != -ENOENT;
		}
	assert_int_equal(found, ARRAY_LEN(has));
}

static void what_may_be_written_to_them(void **state)
{
	struct platform_msrs m;
	uint64_t value;

	(void)state;
	platform_msrs_reset(&m);
	assert_int_equal(platform_wrmsr(&m, 0x2ff, true, 0xc06), 0);
	assert_int_equal(platform_rdmsr(&m, 0x2ff, true, &value), 0);
	assert_int_equal(value, 0xc06);
	assert_int_equal(platform_wrmsr(&m, 0x2ff, true, 0x1806), -EINVAL);
	assert_int_equal(platform_wrmsr(&m, 0x8b, true, 0), 0);
	assert_int_equal(platform_wrmsr(&m, 0x8b, true, 1), -EINVAL);
	assert_int_equal(platform_wrmsr(&m, 0xfe, true, 0), -EINVAL);
	assert_int_equal(platform_wrmsr(&m, 0x1b, true, 0xfee00d00), 0);
	assert_int_equal(platform_wrmsr(&m, 0x1b, true, 0xfee00900),
			 -EINVAL); /* out of x2APIC mode */
	assert_int_equal(platform_wrmsr(&m, 0x1b, false, 0xfee00d00), -EINVAL);
	assert_int_equal(platform_wrmsr(&m, 0x1d9, true, 1), -EINVAL);
	assert_int_equal(platform_wrmsr(&m, 0x48, true, 0), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(it_is_a_16550A),
		TEST(bytes_go_out_at_once),
		TEST(bytes_wait_for_the_guest_in_order),
		TEST(it_says_what_it_would_interrupt_for),
		TEST(in_a_loop_it_hears_itself),
		TEST(only_the_right_words_end_it),
		TEST(words_to_the_hypervisor),
		TEST(other_ports_have_no_device),
		TEST(what_moves),
		TEST(msrs_that_hold_nothing),
		TEST(what_may_be_written_to_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
