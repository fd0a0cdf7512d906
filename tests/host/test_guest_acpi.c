/* SPDX-License-Identifier: MIT */
/* A guest's ACPI tables, by a reader that knows offsets from the specification, and by iasl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "hv/platform/acpi.h"

#define GPA  UINT64_C(0xe0000)
#define JUNK 0x55

static uint8_t tables[ACPI_BUFFER_BYTES];

static uint64_t get(const uint8_t *at, size_t bytes)
{
	uint64_t v = 0;

	memcpy(&v, at, bytes);
	return v;
}

static size_t build(unsigned int nvcpus)
{
	struct acpi_config config = { GPA, nvcpus };
	size_t n;

	memset(tables, JUNK, sizeof(tables));
	n = acpi_build(&config, tables, sizeof(tables));
	assert_in_range(n, 1, sizeof(tables));
	return n;
}

static void assert_sums_to_zero(const uint8_t *at, size_t bytes)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + at[i]);
	assert_int_equal(sum, 0);
}

/* A table of the whole with that address, whose header is right. */
static const uint8_t *table_at(uint64_t gpa, const char *signature, size_t end)
{
	const uint8_t *t = tables + (gpa - GPA);

	assert_in_range(gpa, GPA, GPA + end - 36);
	assert_memory_equal(t, signature, 4);
	assert_in_range(get(t + 4, 4), 36, GPA + end - gpa);
	assert_sums_to_zero(t, get(t + 4, 4));
	assert_memory_equal(t + 10, "CLEAVECLEAVE  ", 14);
	return t;
}

struct found {
	const uint8_t *xsdt, *fadt, *dsdt, *madt;
};

static struct found find(size_t end)
{
	struct found f;

	assert_memory_equal(tables, "RSD PTR ", 8);
	assert_memory_equal(tables + 9, "CLEAVE", 6);
	assert_int_equal(tables[15], 2);
	assert_int_equal(get(tables + 20, 4), 36);
	assert_sums_to_zero(tables, 20);
	assert_sums_to_zero(tables, 36);
	f.xsdt = table_at(get(tables + 24, 8), "XSDT", end);
	assert_int_equal(get(f.xsdt + 4, 4), 36 + 2 * 8);
	f.fadt = table_at(get(f.xsdt + 36, 8), "FACP", end);
	f.madt = table_at(get(f.xsdt + 44, 8), "APIC", end);
	f.dsdt = table_at(get(f.fadt + 140, 8), "DSDT", end);
	return f;
}

static void tables_point_to_each_other_and_their_sums_are_right(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= ACPI_VCPUS_MAX; n++)
		find(build(n));
}

static void the_madt_lists_each_vcpu_once_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= ACPI_VCPUS_MAX; n++) {
		const uint8_t *madt = find(build(n)).madt;

		assert_int_equal(get(madt + 4, 4), 44 + n * 8);
		assert_int_equal(get(madt + 36, 4), 0xfee00000);
		assert_int_equal(get(madt + 40, 4), 0); /* no 8259 */
		for (unsigned int i = 0; i < n; i++) {
			const uint8_t apic[8] = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };

			assert_memory_equal(madt + 44 + i * 8, apic, 8);
		}
	}
}

static void assert_port(const uint8_t *at, uint16_t number)
{
	const uint8_t byte_in_io_space[4] = { 1, 8, 0, 1 };

	assert_memory_equal(at, byte_in_io_space, 4);
	assert_int_equal(get(at + 4, 8), number);
}

static void the_fadt_describes_a_reduced_machine(void **state)
{
	const uint8_t *fadt;

	(void)state;
	fadt = find(build(2)).fadt;
	assert_int_equal(get(fadt + 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(get(fadt + 109, 2), 1 << 2 | 1 << 5);
	assert_int_equal(get(fadt + 112, 4), 1 << 0 | 1 << 10 | 1 << 19 | 1 << 20);
	assert_port(fadt + 116, 0x512);
	assert_int_equal(fadt[128], ACPI_RESET_VALUE);
	assert_port(fadt + 244, 0x510);
	assert_port(fadt + 256, 0x511);
	for (size_t i = 36; i < 109; i++) /* no interrupt, no PM blocks, no 32-bit addresses */
		assert_int_equal(fadt[i], 0);
	for (size_t i = 148; i < 244; i++)
		assert_int_equal(fadt[i], 0);
	assert_int_equal(ACPI_SLEEP_S5, 0x34);
}

static void what_makes_no_sense_or_does_not_fit_changes_nothing(void **state)
{
	static const struct acpi_config wrong[] = {
		{ GPA, 0 }, { GPA, ACPI_VCPUS_MAX + 1 }, { GPA + 8, 1 }, { UINT64_MAX - 15, 1 }
	};
	const struct acpi_config right = { GPA, 2 };
	size_t n = build(2);

	(void)state;
	for (size_t i = n; i < sizeof(tables); i++)
		assert_int_equal(tables[i], JUNK);
	memset(tables, JUNK, sizeof(tables));
	for (size_t bytes = 0; bytes < n; bytes++)
		assert_int_equal(acpi_build(&right, tables, bytes), 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(acpi_build(&wrong[i], tables, sizeof(tables)), 0);
	for (size_t i = 0; i < sizeof(tables); i++)
		assert_int_equal(tables[i], JUNK);
	assert_int_equal(acpi_build(&right, tables, n), n);
}

/* --- iasl ------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/guest-acpi-XXXXXX", text[32768];

/* What the command prints, in the folder. */
static const char *run(const char *command)
{
	char line[256];
	FILE *pipe;
	size_t n;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1", folder, command);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	n = fread(text, 1, sizeof(text) - 1, pipe);
	text[n] = 0;
	pclose(pipe);
	return text;
}

static void write_table(const char *name, const uint8_t *t)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(t, 1, get(t + 4, 4), file), get(t + 4, 4));
	fclose(file);
}

/* Taken apart, and its source accepted, without a word of complaint. Its source is in `text`. */
static void assert_iasl_likes(const char *name, const uint8_t *t)
{
	static const char *const complaints[] = { "arning", "rror", "nvalid", "ncorrect" };
	char command[64];

	write_table(name, t);
	snprintf(command, sizeof(command), "iasl -d %s.dat; cat %s.dsl", name, name);
	run(command);
	for (size_t i = 0; i < ARRAY_LEN(complaints); i++)
		if (strstr(text, complaints[i]))
			fail_msg("%s: %s", name, text);
	snprintf(command, sizeof(command), "iasl -oE %s.dsl", name);
	assert_non_null(strstr(run(command), "0 Errors, 0 Warnings, 0 Remarks"));
	snprintf(command, sizeof(command), "cat %s.dsl", name);
	run(command);
}

static void iasl_finds_nothing_wrong_and_the_power_state_and_the_uart(void **state)
{
	struct found f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	f = find(build(2));
	assert_iasl_likes("xsdt", f.xsdt);
	assert_iasl_likes("facp", f.fadt);
	assert_iasl_likes("apic", f.madt);
	assert_iasl_likes("dsdt", f.dsdt);
	assert_non_null(strstr(text, "Name (_S5, Package"));
	assert_non_null(strstr(text, "EisaId (\"PNP0501\")"));
	assert_null(strstr(text, "IRQ"));
	run("rm -f *.dat *.dsl *.aml");
	assert_int_equal(rmdir(folder), 0);
}

static void nothing(void **state)
{
	(void)state;
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_point_to_each_other_and_their_sums_are_right),
		cmocka_unit_test(the_madt_lists_each_vcpu_once_and_nothing_else),
		cmocka_unit_test(the_fadt_describes_a_reduced_machine),
		cmocka_unit_test(what_makes_no_sense_or_does_not_fit_changes_nothing),
		cmocka_unit_test(iasl_finds_nothing_wrong_and_the_power_state_and_the_uart),
	};

	if (system("command -v iasl >/dev/null"))
		tests[ARRAY_LEN(tests) - 1] = (struct CMUnitTest){
			.name = "iasl_finds_nothing_wrong # SKIP iasl (acpica-tools) is missing",
			.test_func = nothing,
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
