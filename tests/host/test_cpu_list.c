/* SPDX-License-Identifier: MIT */
/* Which of the CPUs that firmware lists are used: those that the APIC can address in its mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "boot/base/cpu_list.h"

static struct cpu_list list;

static void check(const uint32_t *ids, unsigned int n)
{
	assert_int_equal(list.n, n);
	assert_memory_equal(list.apic_id, ids, n * sizeof(*ids));
}

static void check_left_out(struct cpus_left_out why, unsigned int n, uint64_t first)
{
	assert_int_equal(why.n, n);
	assert_true(why.first == first);
}

static void each_cpu_is_taken_once_the_boot_cpu_first(void **state)
{
	static const uint32_t right[] = { 2, 0, 1 };

	(void)state;
	cpu_list_begin(&list, 2, false);
	for (unsigned int id = 0; id < 3; id++)
		cpu_list_add(&list, CPU_BY_APIC, id);
	for (unsigned int id = 0; id < 3; id++)
		cpu_list_add(&list, CPU_BY_X2APIC, id);
	check(right, 3);
	check_left_out(list.misfit, 0, 0);
	check_left_out(list.doubled, 0, 0);
	check_left_out(list.no_room, 0, 0);
}

static void ids_of_more_than_8_bits_do_not_fit_xapic_mode(void **state)
{
	static const uint32_t right[] = { 0, 1 };

	(void)state;
	cpu_list_begin(&list, 0, false);
	cpu_list_add(&list, CPU_BY_APIC, 0);
	cpu_list_add(&list, CPU_BY_APIC, 1);
	/* Cut to 8 bits these name the two CPUs, and all. */
	cpu_list_add(&list, CPU_BY_X2APIC, 0x100);
	cpu_list_add(&list, CPU_BY_X2APIC, 0x4201);
	cpu_list_add(&list, CPU_BY_X2APIC, 0x1ff);
	cpu_list_add(&list, CPU_BY_X2APIC, 0xff);
	cpu_list_add(&list, CPU_BY_X2APIC, 0xffffffff);
	cpu_list_add(&list, CPU_BY_FIRMWARE, UINT64_C(0x100000001));
	check(right, 2);
	check_left_out(list.misfit, 6, 0x100);
}

static void the_id_that_means_all_is_no_cpu(void **state)
{
	static const uint32_t right[] = { 7, 254, 255, 0xfffffffe };

	(void)state;
	cpu_list_begin(&list, 7, false);
	cpu_list_add(&list, CPU_BY_APIC, 0xff);
	cpu_list_add(&list, CPU_BY_APIC, 254);
	check_left_out(list.misfit, 1, 0xff);
	check(right, 2);
	cpu_list_begin(&list, 7, true);
	cpu_list_add(&list, CPU_BY_APIC, 254);
	cpu_list_add(&list, CPU_BY_APIC, 0xff);
	cpu_list_add(&list, CPU_BY_X2APIC, 0xff);
	cpu_list_add(&list, CPU_BY_X2APIC, 0xfffffffe);
	cpu_list_add(&list, CPU_BY_X2APIC, 0xffffffff);
	cpu_list_add(&list, CPU_BY_FIRMWARE, UINT64_C(0x100000000));
	check(right, 4);
	check_left_out(list.misfit, 3, 0xff);
}

static void small_ids_of_the_longer_type_count_only_where_there_are_no_others(void **state)
{
	static const uint32_t bogus[] = { 0, 1 }, alone[] = { 0, 1, 2, 3 };

	(void)state;
	cpu_list_begin(&list, 0, true);
	cpu_list_add(&list, CPU_BY_APIC, 0);
	cpu_list_add(&list, CPU_BY_APIC, 1);
	for (unsigned int id = 0; id < 4; id++)
		cpu_list_add(&list, CPU_BY_X2APIC, id);
	check(bogus, 2);
	check_left_out(list.misfit, 2, 2);
	cpu_list_begin(&list, 0, true);
	for (unsigned int id = 0; id < 4; id++)
		cpu_list_add(&list, CPU_BY_X2APIC, id);
	check(alone, 4);
}

static void a_cpu_that_is_listed_twice_is_one(void **state)
{
	static const uint32_t right[] = { 0, 5 };

	(void)state;
	cpu_list_begin(&list, 0, false);
	cpu_list_add(&list, CPU_BY_APIC, 0);
	cpu_list_add(&list, CPU_BY_APIC, 5);
	cpu_list_add(&list, CPU_BY_APIC, 5);
	cpu_list_add(&list, CPU_BY_APIC, 0);
	check(right, 2);
	check_left_out(list.doubled, 2, 5);
}

static void cpus_without_room_are_counted_once(void **state)
{
	(void)state;
	cpu_list_begin(&list, 0, false);
	for (unsigned int id = 0; id < MAX_CPUS + 3; id++)
		cpu_list_add(&list, CPU_BY_APIC, id);
	for (unsigned int id = 0; id < MAX_CPUS + 3; id++)
		cpu_list_add(&list, CPU_BY_X2APIC, id);
	assert_int_equal(list.n, MAX_CPUS);
	check_left_out(list.no_room, 3, MAX_CPUS);
	check_left_out(list.misfit, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_is_taken_once_the_boot_cpu_first),
		cmocka_unit_test(ids_of_more_than_8_bits_do_not_fit_xapic_mode),
		cmocka_unit_test(the_id_that_means_all_is_no_cpu),
		cmocka_unit_test(small_ids_of_the_longer_type_count_only_where_there_are_no_others),
		cmocka_unit_test(a_cpu_that_is_listed_twice_is_one),
		cmocka_unit_test(cpus_without_room_are_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
