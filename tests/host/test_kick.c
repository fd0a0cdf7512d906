/* SPDX-License-Identifier: MIT */
/*
 * Kicks, and the NMI that repeats one which does not reach its CPU. An NMI that nobody claims is a
 * panic, so there must never be two on their way to one CPU: the handler of the first would take
 * the mark of both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <asm/prctl.h>
#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/base/smp.h"
#include "hv/base/trace.h"
#include "mm/apic.h"

#define OTHER   1
#define LONG_US 11000 /* more than a CPU is given to take a kick */

struct cpu cpus[MAX_CPUS];
unsigned int ncpus = 2;
uint64_t clock_khz;
struct trace_place trace_places[MAX_CPUS];

static struct trace_record records[MAX_CPUS][64];
static unsigned int kicks, nmis;

void apic_kick(uint32_t to)
{
	assert_int_equal(to, OTHER);
	kicks++;
}

void apic_nmi(uint32_t to)
{
	assert_int_equal(to, OTHER);
	nmis++;
}

/* This thread is that CPU from here on: root mode finds it through GS. */
static void become(unsigned int cpu)
{
	assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpus[cpu]), 0);
}

static int begin(void **state)
{
	(void)state;
	clock_khz = 100000; /* so 11 ms of it pass in well below one of the host's */
	for (unsigned int i = 0; i < ncpus; i++) {
		cpus[i] = (struct cpu){ .self = &cpus[i], .id = i, .apic_id = i };
		trace_places[i] = (struct trace_place){ .next = records[i],
							.begin = records[i],
							.end = records[i] + 64 };
	}
	become(OTHER); /* nothing is left of the test before */
	(void)cpu_kicked(true);
	become(0);
	kicks = nmis = 0;
	return 0;
}

static void pass(uint64_t us)
{
	uint64_t until = clock_now() + us_to_cycles(us);

	while (clock_now() < until)
		;
}

static void take(bool nmi, bool expected)
{
	become(OTHER);
	assert_int_equal(cpu_kicked(nmi), expected);
	become(0);
}

static void a_kick_that_is_taken_needs_no_nmi(void **state)
{
	(void)state;
	cpu_kick(OTHER);
	take(false, false);
	pass(LONG_US);
	cpu_remind(OTHER);
	assert_int_equal(kicks, 1);
	assert_int_equal(nmis, 0);
}

static void who_was_not_kicked_is_not_reminded(void **state)
{
	(void)state;
	cpu_remind(OTHER);
	assert_int_equal(nmis, 0);
}

static void a_kick_has_time_to_arrive(void **state)
{
	(void)state;
	clock_khz = UINT64_C(1) << 40; /* in which no time passes */
	cpu_kick(OTHER);
	cpu_remind(OTHER);
	assert_int_equal(nmis, 0);
}

static void a_kick_that_does_not_arrive_comes_as_an_nmi(void **state)
{
	(void)state;
	cpu_kick(OTHER);
	pass(LONG_US);
	cpu_kick(OTHER); /* is no new beginning */
	cpu_remind(OTHER);
	assert_int_equal(nmis, 1);
	take(true, true);
	pass(LONG_US);
	cpu_remind(OTHER); /* the NMI has brought it */
	assert_int_equal(nmis, 1);
}

static void there_is_one_nmi_at_a_time(void **state)
{
	(void)state;
	cpu_kick(OTHER);
	for (unsigned int i = 0; i < 3; i++) {
		pass(LONG_US);
		cpu_remind(OTHER);
	}
	assert_int_equal(nmis, 1);
	take(true, true);
	cpu_kick(OTHER);
	pass(LONG_US);
	cpu_remind(OTHER);
	assert_int_equal(nmis, 2);
	take(true, true);
}

static void an_nmi_that_nobody_sent_is_not_claimed(void **state)
{
	(void)state;
	cpu_kick(OTHER);
	take(true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_kick_that_is_taken_needs_no_nmi, begin),
		cmocka_unit_test_setup(who_was_not_kicked_is_not_reminded, begin),
		cmocka_unit_test_setup(a_kick_has_time_to_arrive, begin),
		cmocka_unit_test_setup(a_kick_that_does_not_arrive_comes_as_an_nmi, begin),
		cmocka_unit_test_setup(there_is_one_nmi_at_a_time, begin),
		cmocka_unit_test_setup(an_nmi_that_nobody_sent_is_not_claimed, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
