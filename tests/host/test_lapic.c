/* SPDX-License-Identifier: MIT */
/* A guest's local APIC: priorities, the timer, commands, and registers that are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/platform/lapic.h"

#define REG(n)   (LAPIC_MSR_FIRST + (n))
#define TPR      REG(0x08)
#define PPR      REG(0x0a)
#define EOI      REG(0x0b)
#define SPURIOUS REG(0x0f)
#define ERRORS   REG(0x28)
#define ICR      REG(0x30)
#define TIMER    REG(0x32)
#define LVT_ERR  REG(0x37)
#define INITIAL  REG(0x38)
#define CURRENT  REG(0x39)
#define DIVIDE   REG(0x3e)
#define SELF     REG(0x3f)
#define ON       0x1ff
#define MASKED   (1u << 16)
#define PERIODIC (1u << 17)
#define DEADLINE (2u << 17)

static struct lapic apic;

static int begin(void **state)
{
	(void)state;
	lapic_reset(&apic, 2);
	assert_int_equal(lapic_write(&apic, SPURIOUS, ON, 0), LAPIC_OK);
	return 0;
}

static uint64_t read_at(uint32_t msr, uint64_t now, unsigned int cr8)
{
	uint64_t value = 0;

	assert_true(lapic_read(&apic, msr, now, cr8, &value));
	return value;
}

static enum lapic_answer set(uint32_t msr, uint64_t value)
{
	return lapic_write(&apic, msr, value, 0);
}

/* Delivers what is due. -1: nothing. */
static int deliver(unsigned int cr8)
{
	int vector = lapic_next(&apic, cr8);

	if (vector >= 0)
		lapic_take(&apic, (unsigned int)vector);
	return vector;
}

static void each_vector_comes_once_and_the_highest_first(void **state)
{
	(void)state;
	for (unsigned int v = 16; v < 256; v++) {
		lapic_post(&apic, v);
		lapic_post(&apic, v);
	}
	for (int v = 255; v >= 16; v--) {
		assert_int_equal(deliver(0), v);
		assert_int_equal(set(EOI, 0), LAPIC_OK);
	}
	assert_int_equal(deliver(0), -1);
}

/* Only a higher class than the one in service, and than the task's, gets through. */
static void priorities(void **state)
{
	for (unsigned int served = 16; served < 256; served += 5)
		for (unsigned int next = 16; next < 256; next += 7)
			for (unsigned int cr8 = 0; cr8 < 16; cr8++) {
				unsigned int class = served / 16 > cr8 ? served / 16 : cr8;

				begin(state);
				lapic_post(&apic, served);
				assert_int_equal(deliver(0), served);
				lapic_post(&apic, next);
				assert_int_equal(lapic_next(&apic, cr8),
						 next / 16 > class ? (int)next : -1);
				assert_int_equal(read_at(PPR, 0, cr8), class * 16);
			}
}

static void an_end_of_interrupt_ends_the_highest_in_service(void **state)
{
	(void)state;
	lapic_post(&apic, 0x31);
	assert_int_equal(deliver(0), 0x31);
	lapic_post(&apic, 0x52);
	assert_int_equal(deliver(0), 0x52);
	assert_int_equal(set(EOI, 0), LAPIC_OK);
	assert_int_equal(read_at(PPR, 0, 0), 0x30);
	assert_int_equal(set(EOI, 0), LAPIC_OK);
	assert_int_equal(read_at(PPR, 0, 0), 0);
	assert_int_equal(set(EOI, 0), LAPIC_OK); /* of nothing */
	assert_int_equal(set(EOI, 1), LAPIC_BAD);
}

static void the_deadline_timer(void **state)
{
	(void)state;
	/* In another mode the timer does not hear of it. */
	assert_int_equal(set(MSR_TSC_DEADLINE, 5000), LAPIC_OK);
	assert_int_equal(apic.deadline, 0);
	assert_int_equal(set(TIMER, DEADLINE | 0xec), LAPIC_TIMER);
	assert_int_equal(set(MSR_TSC_DEADLINE, 5000), LAPIC_TIMER);
	assert_int_equal(read_at(MSR_TSC_DEADLINE, 10, 0), 5000);
	assert_int_equal(lapic_next(&apic, 0), -1);
	lapic_expire(&apic, 5001);
	assert_int_equal(deliver(0), 0xec);
	assert_int_equal(read_at(MSR_TSC_DEADLINE, 5001, 0), 0);
	assert_int_equal(set(MSR_TSC_DEADLINE, 9000), LAPIC_TIMER);
	assert_int_equal(set(MSR_TSC_DEADLINE, 0), LAPIC_TIMER);
	assert_int_equal(apic.deadline, 0);
	/* Another mode disarms it. */
	assert_int_equal(set(MSR_TSC_DEADLINE, 9000), LAPIC_TIMER);
	assert_int_equal(set(TIMER, 0xec), LAPIC_TIMER);
	assert_int_equal(apic.deadline, 0);
}

static void a_masked_timer_ends_without_an_interrupt(void **state)
{
	(void)state;
	assert_int_equal(set(TIMER, DEADLINE | MASKED | 0xec), LAPIC_TIMER);
	assert_int_equal(set(MSR_TSC_DEADLINE, 5000), LAPIC_TIMER);
	lapic_expire(&apic, 5000);
	assert_int_equal(lapic_next(&apic, 0), -1);
	assert_int_equal(apic.deadline, 0);
}

static void the_counting_timer(void **state)
{
	static const struct {
		uint32_t code, divisor;
	} divide[] = { { 0, 2 },  { 1, 4 },  { 2, 8 },    { 3, 16 },
		       { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(divide); i++) {
		uint64_t whole = UINT64_C(1000) * divide[i].divisor;

		begin(state);
		(void)set(TIMER, 0x40);
		assert_int_equal(set(DIVIDE, divide[i].code), LAPIC_OK);
		assert_int_equal(lapic_write(&apic, INITIAL, 1000, 7), LAPIC_TIMER);
		assert_int_equal(apic.deadline, 7 + whole);
		assert_int_equal(read_at(CURRENT, 7, 0), 1000);
		assert_int_equal(read_at(CURRENT, 7 + whole / 2, 0), 500);
		lapic_expire(&apic, 7 + whole);
		assert_int_equal(deliver(0), 0x40);
		assert_int_equal(read_at(CURRENT, 8 + whole, 0), 0);
		assert_int_equal(apic.deadline, 0);
	}
	assert_int_equal(set(DIVIDE, 4), LAPIC_BAD);
}

static void the_periodic_timer_leaves_out_what_nobody_saw(void **state)
{
	(void)state;
	(void)set(TIMER, PERIODIC | 0x40);
	(void)set(DIVIDE, 11);
	(void)set(INITIAL, 100);
	lapic_expire(&apic, 100);
	assert_int_equal(apic.deadline, 200);
	lapic_expire(&apic, 1000);
	assert_int_equal(apic.deadline, 1100);
	assert_int_equal(lapic_write(&apic, INITIAL, 0, 1000), LAPIC_TIMER);
	assert_int_equal(apic.deadline, 0);
}

/* A count lasts as long as before; a deadline is a moment of the TSC. */
static void a_tsc_that_is_set_moves_deadlines_only(void **state)
{
	(void)state;
	(void)set(TIMER, 0x40);
	(void)set(DIVIDE, 11);
	assert_int_equal(lapic_write(&apic, INITIAL, 100, 1000), LAPIC_TIMER);
	lapic_tsc_set(&apic, 5000);
	assert_int_equal(read_at(CURRENT, 6000, 0), 100);
	lapic_tsc_set(&apic, -UINT64_C(5500));
	assert_int_equal(read_at(CURRENT, 500, 0), 100);
	(void)set(TIMER, DEADLINE | 0xec);
	(void)set(MSR_TSC_DEADLINE, 5000);
	lapic_tsc_set(&apic, 5000);
	assert_int_equal(apic.deadline, 5000);
}

static void the_software_switch_masks(void **state)
{
	(void)state;
	(void)set(TIMER, DEADLINE | 0xec);
	(void)set(SPURIOUS, 0xff);
	assert_true(read_at(TIMER, 0, 0) & MASKED);
	assert_int_equal(set(TIMER, DEADLINE | 0xec), LAPIC_OK);
	assert_true(read_at(TIMER, 0, 0) & MASKED);
}

/* --- commands ------------------------------------------------------------------------------- */

static struct lapic all[20];

static void reaches_only(const struct lapic *sender, unsigned int to)
{
	for (unsigned int i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(lapic_reaches(&all[i], sender), i == to);
}

static void reaches_by_shorthand(struct lapic *sender, unsigned int from)
{
	for (uint64_t shorthand = 1; shorthand < 4; shorthand++) {
		sender->icr = shorthand << 18;
		for (unsigned int i = 0; i < ARRAY_LEN(all); i++)
			assert_int_equal(lapic_reaches(&all[i], sender), shorthand == 1 ? i == from
									 : shorthand == 2
										 ? true
										 : i != from);
	}
}

static void whom_a_command_reaches(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(all); i++)
		lapic_reset(&all[i], i);
	for (unsigned int from = 0; from < ARRAY_LEN(all); from++) {
		struct lapic *sender = &all[from];

		for (unsigned int to = 0; to < ARRAY_LEN(all); to++) {
			uint64_t logical = (to >> 4) << 16 | 1u << (to & 15);

			sender->icr = (uint64_t)to << 32;
			reaches_only(sender, to);
			sender->icr = logical << 32 | 1u << 11;
			reaches_only(sender, to);
			sender->icr = UINT64_C(0xffffffff) << 32;
			assert_true(lapic_reaches(&all[to], sender));
		}
		reaches_by_shorthand(sender, from);
	}
}

static struct ipi sent(void)
{
	struct ipi ipi;

	assert_true(lapic_ipi(apic.icr, &ipi));
	return ipi;
}

static void commands(void **state)
{
	(void)state;
	assert_int_equal(set(ICR, UINT64_C(3) << 32 | 0x4000 | 0xfb), LAPIC_SEND);
	assert_true(sent().mode == IPI_FIXED && sent().vector == 0xfb);
	assert_int_equal(set(ICR, 0x4500), LAPIC_SEND);
	assert_true(sent().mode == IPI_INIT && sent().assert);
	assert_int_equal(set(ICR, 0x8500), LAPIC_SEND);
	assert_true(sent().mode == IPI_INIT && !sent().assert);
	assert_int_equal(set(ICR, 0x4600 | 0x98), LAPIC_SEND);
	assert_true(sent().mode == IPI_START && sent().vector == 0x98);
	assert_int_equal(set(ICR, 0x4400), LAPIC_SEND);
	assert_true(sent().mode == IPI_NMI);
	for (unsigned int mode = 1; mode < 4; mode++) /* lowest priority, SMI, and none */
		assert_int_equal(set(ICR, 0x4000 | mode << 8 | 0x40), LAPIC_OK);
	assert_int_equal(set(ICR, 1u << 12), LAPIC_BAD);
	assert_int_equal(set(SELF, 0x77), LAPIC_SEND);
	assert_true(lapic_reaches(&apic, &apic));
	assert_int_equal(set(SELF, 0x177), LAPIC_BAD);
}

static void a_vector_that_is_none_is_an_error(void **state)
{
	(void)state;
	(void)set(LVT_ERR, 0xfe);
	assert_int_equal(set(ICR, 0x4000 | 15), LAPIC_OK);
	assert_int_equal(deliver(0), 0xfe);
	assert_int_equal(read_at(ERRORS, 0, 0), 0);
	assert_int_equal(set(ERRORS, 0), LAPIC_OK);
	assert_int_equal(read_at(ERRORS, 0, 0), 0x20);
	assert_int_equal(set(ERRORS, 1), LAPIC_BAD);
}

/* --- registers ------------------------------------------------------------------------------ */

/* SDM vol. 3A, "x2APIC Register Address Space": all others raise #GP. */
static void registers_that_are_not_there(void **state)
{
	static const uint8_t readable[] = { 0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f, 0x28, 0x30, 0x32,
					    0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e };
	static const uint8_t writable[] = { 0x08, 0x0b, 0x0f, 0x28, 0x30, 0x32, 0x33,
					    0x34, 0x35, 0x36, 0x37, 0x38, 0x3e, 0x3f };

	(void)state;
	for (uint32_t reg = 0; reg < 0x100; reg++) {
		bool read = (reg >= 0x10 && reg < 0x28) ||
			    memchr(readable, (int)reg, sizeof(readable));
		bool write = memchr(writable, (int)reg, sizeof(writable));
		uint64_t value;

		assert_int_equal(lapic_read(&apic, REG(reg), 0, 0, &value), read);
		assert_int_equal(set(REG(reg), 0) != LAPIC_BAD, write);
		if (reg != 0x30 && write)
			assert_int_equal(set(REG(reg), UINT64_C(1) << 40), LAPIC_BAD);
	}
}

static void the_identity(void **state)
{
	(void)state;
	assert_int_equal(read_at(REG(2), 0, 0), 2);
	assert_int_equal(read_at(REG(3), 0, 0), 0x50014);
	assert_int_equal(read_at(REG(0x0d), 0, 0), 4);
	assert_int_equal(set(TPR, 0x50), LAPIC_TPR);
	assert_int_equal(read_at(TPR, 0, 5), 0x50);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(each_vector_comes_once_and_the_highest_first),
		TEST(priorities),
		TEST(an_end_of_interrupt_ends_the_highest_in_service),
		TEST(the_deadline_timer),
		TEST(a_masked_timer_ends_without_an_interrupt),
		TEST(the_counting_timer),
		TEST(the_periodic_timer_leaves_out_what_nobody_saw),
		TEST(a_tsc_that_is_set_moves_deadlines_only),
		TEST(the_software_switch_masks),
		TEST(whom_a_command_reaches),
		TEST(commands),
		TEST(a_vector_that_is_none_is_an_error),
		TEST(registers_that_are_not_there),
		TEST(the_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
