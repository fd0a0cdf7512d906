/* SPDX-License-Identifier: MIT */
/*
 * The shootdown: when tlb_flush() returns, each CPU that had joined has flushed. No emulator shows
 * a flush that is left out on its own CPU: each empties its TLB at every entry.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "hv/base/smp.h"
#include "hv/mem/tlb.h"
#include "mm/lock.h"

#define CPUS 3

struct cpu cpus[MAX_CPUS];
unsigned int ncpus = CPUS;

static __thread unsigned int self;       /* this thread is that CPU */
static _Atomic unsigned int made[CPUS];  /* flushes by CPU */
static _Atomic unsigned int kicks[CPUS]; /* that each was given */
static _Atomic bool over;
static struct tlb tlb;

void cpu_kick(unsigned int cpu)
{
	kicks[cpu]++;
}

void cpu_remind(unsigned int cpu)
{
	(void)cpu;
}

void cpu_pass(void)
{
	cpu_relax();
}

static void flush_this_cpu(const struct ept *ept)
{
	(void)ept;
	made[self]++;
}

static int begin(void **state)
{
	(void)state;
	memset(made, 0, sizeof(made));
	memset(kicks, 0, sizeof(kicks));
	over = false;
	self = 0;
	tlb_init(&tlb, (const struct ept *)&tlb, flush_this_cpu); /* nobody looks at it */
	tlb_join(&tlb, 0);
	made[0] = 0;
	return 0;
}

/* A CPU that runs a guest: it looks only once it was kicked, and a while later. */
static void *guest(void *arg)
{
	self = (unsigned int)(uintptr_t)arg;
	while (!over) {
		if (!kicks[self])
			continue;
		usleep(2000);
		tlb_quiesce(&tlb, self);
	}
	return NULL;
}

static void a_flush_is_made_on_this_cpu(void **state)
{
	(void)state;
	tlb_flush(&tlb, 0);
	assert_int_equal(made[0], 1);
	assert_int_equal(tlb_rounds(&tlb), 1);
	assert_int_equal(kicks[1] + kicks[2], 0); /* nobody else has joined */
}

static void a_flush_waits_until_all_that_joined_have_flushed(void **state)
{
	pthread_t thread;

	(void)state;
	tlb_join(&tlb, 2);
	made[2] = 0;
	assert_int_equal(pthread_create(&thread, NULL, guest, (void *)2), 0);
	tlb_flush(&tlb, 0);
	assert_int_equal(made[2], 1);
	assert_int_equal(made[1], 0);
	assert_int_equal(kicks[2], 1);
	over = true;
	pthread_join(thread, NULL);
}

static void who_joins_flushes_first(void **state)
{
	(void)state;
	tlb_flush(&tlb, 0);
	made[0] = 0;
	tlb_join(&tlb, 1); /* as this thread, which is CPU 0 */
	assert_int_equal(made[0], 1);
	assert_false(tlb_behind(&tlb, 1));
}

static void who_has_left_is_not_waited_for(void **state)
{
	(void)state;
	tlb_join(&tlb, 1);
	tlb_leave(&tlb, 1);
	tlb_flush(&tlb, 0);
	assert_int_equal(kicks[1], 0);
	assert_true(tlb_visit(&tlb, 1));
	assert_false(tlb_visit(&tlb, 1));
}

/* Each flushes while the other waits for it: both acknowledge. */
static void *flusher(void *arg)
{
	self = 1;
	(void)arg;
	tlb_join(&tlb, 1);
	for (unsigned int i = 0; i < 1000; i++)
		tlb_flush(&tlb, 1);
	tlb_leave(&tlb, 1);
	return NULL;
}

static void two_that_flush_at_once_do_not_wait_for_ever(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, flusher, NULL), 0);
	for (unsigned int i = 0; i < 1000; i++)
		tlb_flush(&tlb, 0);
	tlb_leave(&tlb, 0);
	pthread_join(thread, NULL);
	assert_int_equal(tlb_rounds(&tlb), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_flush_is_made_on_this_cpu, begin),
		cmocka_unit_test_setup(a_flush_waits_until_all_that_joined_have_flushed, begin),
		cmocka_unit_test_setup(who_joins_flushes_first, begin),
		cmocka_unit_test_setup(who_has_left_is_not_waited_for, begin),
		cmocka_unit_test_setup(two_that_flush_at_once_do_not_wait_for_ever, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
