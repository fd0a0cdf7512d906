/* SPDX-License-Identifier: MIT */
/* A vCPU's state that came from another machine: what root mode would stumble over is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/vm/state.h"

#define ALL    (XCR0_X87 | XCR0_SSE | XCR0_AVX)
#define INDEX  1
#define MXCSR  24
#define HEADER 512

static struct guest_state *good(void)
{
	static struct guest_state s;

	memset(&s, 0, sizeof(s));
	s.lstar = UINT64_C(0xffffffff81000000);
	s.kernel_gs_base = UINT64_C(0xffff888000000000);
	s.dr6 = 0xffff0ff0;
	s.dr7 = 0x400;
	s.cr8 = 15;
	s.xstate.xcr0 = ALL;
	s.xstate.image[MXCSR] = 0x80;
	s.xstate.image[MXCSR + 1] = 0x1f;
	s.xstate.image[HEADER] = ALL;
	s.lapic.id = INDEX;
	return &s;
}

static bool takes(const struct guest_state *s, uint64_t components)
{
	return !guest_state_check(s, INDEX, components);
}

static void a_state_that_a_cpu_has_saved_is_taken(void **state)
{
	struct guest_state *s = good();

	(void)state;
	assert_true(takes(s, ALL));
	s->xstate.xcr0 = XCR0_X87;
	assert_true(takes(s, ALL));
}

static void addresses_that_are_none_are_refused_in_msrs(void **state)
{
	const size_t msr[] = { offsetof(struct guest_state, lstar),
			       offsetof(struct guest_state, cstar),
			       offsetof(struct guest_state, kernel_gs_base) };
	const uint64_t bad[] = { UINT64_C(1) << 47, UINT64_C(0xffff7fffffffffff),
				 UINT64_C(1) << 63 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(msr); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(bad); k++) {
			struct guest_state *s = good();

			memcpy((char *)s + msr[i], &bad[k], sizeof(bad[k]));
			assert_false(takes(s, ALL));
		}
}

static void bits_that_raise_an_exception_when_they_are_loaded_are_refused(void **state)
{
	struct guest_state *s;

	(void)state;
	for (unsigned int bit = 32; bit < 64; bit++) {
		s = good();
		s->dr6 |= UINT64_C(1) << bit;
		assert_false(takes(s, ALL));
		s = good();
		s->dr7 |= UINT64_C(1) << bit;
		assert_false(takes(s, ALL));
		s = good();
		s->fmask |= UINT64_C(1) << bit;
		assert_false(takes(s, ALL));
	}
	s = good();
	s->cr8 = 16;
	assert_false(takes(s, ALL));
}

static void vector_registers_are_those_of_this_cpu(void **state)
{
	struct guest_state *s = good();

	(void)state;
	assert_false(takes(s, XCR0_X87 | XCR0_SSE)); /* no AVX here */
	s->xstate.xcr0 = XCR0_X87 | XCR0_SSE;
	assert_false(takes(s, XCR0_X87 | XCR0_SSE)); /* but its registers are there */
	s->xstate.image[HEADER] = XCR0_X87 | XCR0_SSE;
	assert_true(takes(s, XCR0_X87 | XCR0_SSE));
	s->xstate.xcr0 = XCR0_SSE;
	assert_false(takes(s, ALL));
	s->xstate.xcr0 = XCR0_X87 | XCR0_AVX;
	assert_false(takes(s, ALL));
}

static void the_image_of_xsave_has_nothing_in_reserved_places(void **state)
{
	struct guest_state *s;

	(void)state;
	for (unsigned int at = HEADER + 1; at < HEADER + 64; at++) {
		s = good();
		s->xstate.image[at] = 0x10;
		assert_false(takes(s, ALL));
	}
	s = good();
	s->xstate.image[MXCSR + 2] = 1;
	assert_false(takes(s, ALL));
}

static void without_xsave_only_the_x87_is_on(void **state)
{
	struct guest_state *s = good();

	(void)state;
	assert_false(takes(s, 0));
	s->xstate.xcr0 = XCR0_X87;
	assert_true(takes(s, 0));
}

static void an_apic_has_its_own_vcpus_number(void **state)
{
	(void)state;
	assert_non_null(guest_state_check(good(), INDEX + 1, ALL));
}

static void a_serial_ports_queue_lies_within_itself(void **state)
{
	struct uart uart = { .first = UART_QUEUE - 1, .bytes = UART_QUEUE };

	(void)state;
	assert_null(uart_check(&uart));
	uart.first = UART_QUEUE;
	assert_non_null(uart_check(&uart));
	uart.first = 0;
	uart.bytes = UART_QUEUE + 1;
	assert_non_null(uart_check(&uart));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_that_a_cpu_has_saved_is_taken),
		cmocka_unit_test(addresses_that_are_none_are_refused_in_msrs),
		cmocka_unit_test(bits_that_raise_an_exception_when_they_are_loaded_are_refused),
		cmocka_unit_test(vector_registers_are_those_of_this_cpu),
		cmocka_unit_test(the_image_of_xsave_has_nothing_in_reserved_places),
		cmocka_unit_test(without_xsave_only_the_x87_is_on),
		cmocka_unit_test(an_apic_has_its_own_vcpus_number),
		cmocka_unit_test(a_serial_ports_queue_lies_within_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
