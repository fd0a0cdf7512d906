/* SPDX-License-Identifier: MIT */
/* Where a Linux kernel goes in a guest's memory: images made up field by field, each with one thing
 * wrong, and the layouts that come of right ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/platform/bzimage.h"

#define SETUP_BYTES 1024 /* the boot sector and one more */
#define CODE_BYTES  4096
#define IMAGE_BYTES (SETUP_BYTES + CODE_BYTES)
#define INIT_BYTES  (48 * MIB)
#define INITRD_MAX  UINT64_C(0x7fffffff)

static uint8_t image[IMAGE_BYTES], initrd[3 * PAGE_SIZE + 5], tables[556];
static struct linux_low low;
static struct linux_plan plan;
static struct linux_input in;

static void put(size_t at, size_t bytes, uint64_t v)
{
	memcpy(image + at, &v, bytes);
}

/* Of boot_params. */
static uint64_t get(size_t at, size_t bytes)
{
	uint64_t v = 0;

	memcpy(&v, low.boot_params + at, bytes);
	return v;
}

/* A kernel as Debian's is, but for its size, with an initrd and tables, in 256 MiB. */
static int begin(void **state)
{
	(void)state;
	memset(image, 0x90, sizeof(image));
	memset(image, 0xff, 0x1f1); /* no loader takes this over */
	put(0x1f1, 1, 1);           /* setup_sects */
	put(0x1f4, 4, CODE_BYTES / 16);
	put(0x1fe, 2, 0xaa55);
	put(0x200, 2, 0x6aeb); /* the header ends at 0x26c */
	put(0x202, 4, 0x53726448);
	put(0x206, 2, 0x020f);
	put(0x211, 1, 0x81); /* loadflags */
	put(0x22c, 4, INITRD_MAX);
	put(0x230, 4, 2 * MIB); /* kernel_alignment */
	put(0x234, 1, 1);       /* relocatable_kernel */
	put(0x236, 2, 0x7f);    /* xloadflags */
	put(0x238, 4, 2047);    /* cmdline_size */
	put(0x258, 8, 16 * MIB);
	put(0x260, 4, INIT_BYTES);
	in = (struct linux_input){
		.kernel = image,
		.kernel_bytes = sizeof(image),
		.initrd = initrd,
		.initrd_bytes = sizeof(initrd),
		.command_line = "console=ttyS0",
		.command_line_bytes = 13,
		.region = 256 * MIB,
		.acpi = { 0xe0000, tables, sizeof(tables) },
		.tsc_khz = 2400000,
	};
	memset(&low, 0x55, sizeof(low));
	return 0;
}

/* A refusal names the thing and ends with what to do. */
static void refused(const char *thing, const char *remedy)
{
	const char *why = linux_plan(&in, &low, &plan);

	assert_non_null(why);
	if (!strstr(why, thing) || !strstr(why, remedy))
		fail_msg("\"%s\" names no \"%s\" or no \"%s\"", why, thing, remedy);
}

static void accepted(void)
{
	const char *why = linux_plan(&in, &low, &plan);

	if (why)
		fail_msg("refused: %s", why);
}

static const struct linux_piece *piece_of(const void *from)
{
	for (unsigned int i = 0; i < plan.npieces; i++)
		if (plan.piece[i].data == from)
			return &plan.piece[i];
	return NULL;
}

static const struct linux_piece *kernel(void)
{
	return piece_of(image + SETUP_BYTES);
}

/* --- what is refused ------------------------------------------------------------------------- */

static void each_wrong_field_has_a_sentence_of_its_own(void **state)
{
	static const struct {
		size_t at, bytes;
		uint64_t v;
		const char *thing, *remedy;
	} wrong[] = {
		{ 0x202, 4, 0x53726449, "HdrS", "bzImage" },
		{ 0x1fe, 2, 0, "HdrS", "bzImage" },
		{ 0x206, 2, 0x020b, "2.12", "Linux 3.8" },
		{ 0x201, 1, 0x61, "header", "another kernel" },
		{ 0x236, 2, 0x7e, "XLF_KERNEL_64", "x86-64" },
		{ 0x1f4, 4, 0, "syssize", "another kernel" },
		{ 0x1f4, 4, 0x20, "syssize", "another kernel" },
		{ 0x1f4, 4, CODE_BYTES / 16 + 1, "cut off", "once more" },
		{ 0x1f4, 4, UINT32_MAX, "cut off", "once more" },
		{ 0x1f1, 1, 2, "setup_sects", "once more" },
		{ 0x1f1, 1, 0, "setup_sects", "once more" }, /* that is 4 */
		{ 0x230, 4, 0, "kernel_alignment", "another kernel" },
		{ 0x230, 4, 0x300000, "kernel_alignment", "another kernel" },
		{ 0x230, 4, 0x80000000, "fit into", "region=" },
		{ 0x258, 8, 240 * MIB, "fit into", "region=" },
		{ 0x258, 8, 4 * GIB, "0xfec00000", "another kernel" },
		{ 0x258, 8, UINT64_MAX, "0xfec00000", "another kernel" },
		{ 0x260, 4, 241 * MIB, "init_size", "region=" },
		{ 0x260, 4, UINT32_MAX, "init_size", "another kernel" },
		{ 0x238, 4, 12, "cmdline_size", "shorter" },
		{ 0x22c, 4, 64 * MIB + 2 * PAGE_SIZE, "initrd_addr_max", "smaller" },
		{ 0x22c, 4, 0, "initrd_addr_max", "smaller" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		begin(state);
		put(wrong[i].at, wrong[i].bytes, wrong[i].v);
		refused(wrong[i].thing, wrong[i].remedy);
	}
}

/* From memory of just this size: the sanitizer sees every byte too far. */
static void an_image_that_is_cut_off_anywhere_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < IMAGE_BYTES; n++) {
		uint8_t *part = malloc(n ? n : 1);

		memcpy(part, image, n);
		in.kernel = part;
		in.kernel_bytes = n;
		refused(n < 0x206 ? "HdrS" : "cut off", n < 0x206 ? "bzImage" : "once more");
		free(part);
	}
}

static void a_kernel_that_cannot_move_needs_its_own_place(void **state)
{
	(void)state;
	put(0x234, 1, 0);
	accepted();
	assert_int_equal(kernel()->gpa, 16 * MIB);
	put(0x258, 8, 0x10000);
	refused("not relocatable", "CONFIG_RELOCATABLE");
	put(0x258, 8, 230 * MIB);
	refused("fit into", "region=");
}

static void a_kernel_that_can_move_lies_above_1_mib_and_aligned(void **state)
{
	(void)state;
	put(0x258, 8, 0);
	accepted();
	assert_int_equal(kernel()->gpa, 2 * MIB);
	assert_int_equal(get(0x214, 4), 2 * MIB); /* code32_start */
	put(0x258, 8, 16 * MIB + 1);
	accepted();
	assert_int_equal(kernel()->gpa, 18 * MIB);
	put(0x230, 4, 16);
	accepted();
	assert_int_equal(kernel()->gpa, 16 * MIB + PAGE_SIZE);
}

static void tables_outside_of_the_hole_below_1_mib_are_refused(void **state)
{
	static const struct linux_piece wrong[] = {
		{ 0x9e000, tables, 16 },         { 0xe0010, tables, 16 },
		{ 0x100000, tables, 16 },        { 0xff000, tables, 0x1001 },
		{ 0xff000, tables, UINT64_MAX }, { UINT64_MAX - 0xfff, tables, 0x1000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		in.acpi = wrong[i];
		refused("ACPI", "1 MiB");
	}
	in.acpi = (struct linux_piece){ 0xff000, tables, 0x1000 };
	accepted();
}

/* --- the command line ------------------------------------------------------------------------ */

static void command(const char *text, const char *expected)
{
	in.command_line = text;
	in.command_line_bytes = strlen(text);
	accepted();
	assert_string_equal(low.command_line, expected);
	assert_int_equal(get(0x228, 4), LINUX_LOW_GPA + offsetof(struct linux_low, command_line));
}

static void the_frequency_stands_before_the_text_unless_it_is_there(void **state)
{
	(void)state;
	command("a b", "tsc_early_khz=2400000 a b");
	command("", "tsc_early_khz=2400000");
	command("tsc_early_khz=7", "tsc_early_khz=7");
	command("a\ttsc_early_khz=7 b", "a\ttsc_early_khz=7 b");
	command("xtsc_early_khz=7", "tsc_early_khz=2400000 xtsc_early_khz=7");
	command("tsc_early_khz", "tsc_early_khz=2400000 tsc_early_khz");
	in.tsc_khz = 0;
	command("a", "a");
	in.command_line = NULL;
	in.command_line_bytes = 0;
	accepted();
	assert_string_equal(low.command_line, "");
}

static void a_command_line_may_be_as_long_as_the_kernel_takes(void **state)
{
	char text[LINUX_COMMAND_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	in.command_line = text;
	in.command_line_bytes = 2047 - strlen("tsc_early_khz=2400000 ");
	accepted();
	assert_int_equal(strlen(low.command_line), 2047);
	in.command_line_bytes++;
	refused("cmdline_size", "shorter");
	in.tsc_khz = 0;
	in.command_line_bytes = 2047;
	accepted();
	put(0x238, 4, UINT32_MAX); /* ours ends first */
	in.command_line_bytes = 2048;
	refused("cmdline_size", "shorter");
	put(0x238, 4, 100);
	in.command_line_bytes = 100;
	accepted();
	in.command_line_bytes = SIZE_MAX;
	refused("cmdline_size", "shorter");
}

static void a_zero_byte_in_the_command_line_is_refused(void **state)
{
	(void)state;
	in.command_line = "a\0b";
	in.command_line_bytes = 3;
	refused("zero byte", "take it out");
}

/* --- layouts --------------------------------------------------------------------------------- */

static bool in_e820(uint64_t start, uint64_t end, uint32_t type)
{
	for (unsigned int i = 0; i < get(0x1e8, 1); i++) {
		uint64_t at = get(0x2d0 + i * 20, 8), bytes = get(0x2d8 + i * 20, 8);

		if (get(0x2e0 + i * 20, 4) == type && at <= start && end <= at + bytes)
			return true;
	}
	return false;
}

/* The map rises without overlaps and ends no later than the region, or 4 GiB. */
static void assert_e820(void)
{
	uint64_t end = 0;

	assert_in_range(get(0x1e8, 1), 3, 7);
	for (unsigned int i = 0; i < get(0x1e8, 1); i++) {
		assert_true(get(0x2d0 + i * 20, 8) >= end);
		assert_true(get(0x2d8 + i * 20, 8) > 0);
		end = get(0x2d0 + i * 20, 8) + get(0x2d8 + i * 20, 8);
	}
	assert_int_equal(end, in.region > LINUX_RAM_END ? MAX(in.region, 4 * GIB) : in.region);
}

static void assert_layout(void)
{
	uint64_t end = 0;

	assert_e820();
	for (unsigned int i = 0; i < plan.npieces; i++) {
		const struct linux_piece *p = &plan.piece[i];

		assert_true(p->bytes > 0 && p->gpa >= end);
		end = p->gpa + p->bytes;
		assert_true(end <= in.region);
		assert_true(in_e820(p->gpa, end, p->data == tables ? 3 : 1));
	}
	assert_true(in_e820(kernel()->gpa, kernel()->gpa + INIT_BYTES, 1));
	if (in.initrd_bytes)
		assert_true(piece_of(initrd)->gpa >= kernel()->gpa + INIT_BYTES);
}

static void pieces_lie_in_ram_and_apart_in_regions_of_any_size(void **state)
{
	static const uint64_t regions[] = {
		68 * MIB, 256 * MIB, 2 * GIB,   0xfe000000, 0xfec00000, 0xfec00000 + 2 * MIB,
		4 * GIB,  5 * GIB,   512 * GIB,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(regions); i++) {
		in.region = regions[i];
		accepted();
		assert_int_equal(plan.npieces, 4);
		assert_layout();
	}
}

static void above_4_gib_the_guest_finds_the_rest_of_its_memory(void **state)
{
	(void)state;
	in.region = 5 * GIB;
	accepted();
	assert_true(in_e820(4 * GIB, 5 * GIB, 1));
	assert_true(in_e820(LINUX_RAM_END, 4 * GIB, 2));
	assert_false(in_e820(LINUX_RAM_END, LINUX_RAM_END + 1, 1));
	in.region = 4 * GIB;
	accepted();
	assert_false(in_e820(4 * GIB, 4 * GIB + 1, 1));
	in.region = LINUX_RAM_END;
	accepted();
	assert_false(in_e820(LINUX_RAM_END, LINUX_RAM_END + 1, 2));
}

static void the_smallest_region_holds_what_the_kernel_needs_and_the_initrd(void **state)
{
	(void)state;
	in.region = 16 * MIB + INIT_BYTES + 4 * PAGE_SIZE;
	accepted();
	assert_layout();
	assert_int_equal(piece_of(initrd)->gpa, 16 * MIB + INIT_BYTES);
	in.region -= PAGE_SIZE;
	refused("initrd", "region=");
	in.initrd_bytes = 0;
	in.region = 16 * MIB + INIT_BYTES;
	accepted();
	assert_layout();
	in.region -= PAGE_SIZE;
	refused("kernel", "region=");
	in.region = 0;
	refused("kernel", "region=");
}

static void an_initrd_lies_as_high_as_region_and_kernel_allow(void **state)
{
	(void)state;
	accepted();
	assert_int_equal(piece_of(initrd)->gpa, 256 * MIB - 4 * PAGE_SIZE);
	in.region = 8 * GIB;
	accepted();
	assert_int_equal(piece_of(initrd)->gpa, 2 * GIB - 4 * PAGE_SIZE);
	put(0x22c, 4, INITRD_MAX - 1);
	accepted();
	assert_int_equal(piece_of(initrd)->gpa, 2 * GIB - 4 * PAGE_SIZE);
	put(0x22c, 4, INITRD_MAX - PAGE_SIZE + 5); /* the last byte may be the limit */
	accepted();
	assert_int_equal(piece_of(initrd)->gpa, 2 * GIB - 4 * PAGE_SIZE);
	put(0x22c, 4, INITRD_MAX - PAGE_SIZE + 4);
	accepted();
	assert_int_equal(piece_of(initrd)->gpa, 2 * GIB - 5 * PAGE_SIZE);
	put(0x22c, 4, UINT32_MAX);
	accepted();
	assert_int_equal(piece_of(initrd)->gpa, LINUX_RAM_END - 4 * PAGE_SIZE);
}

static void an_initrd_that_no_region_has_room_for_is_refused_as_too_large(void **state)
{
	(void)state;
	in.initrd_bytes = 2 * GIB - 64 * MIB;
	refused("initrd", "region=");
	in.region = 2 * GIB;
	accepted();
	assert_layout();
	in.initrd_bytes++;
	refused("initrd_addr_max", "smaller");
	in.initrd_bytes = UINT64_MAX;
	refused("initrd_addr_max", "smaller");
}

static void without_initrd_and_tables_their_fields_are_zero(void **state)
{
	(void)state;
	in.initrd_bytes = 0;
	in.acpi.bytes = 0;
	accepted();
	assert_int_equal(plan.npieces, 2);
	assert_int_equal(get(0x218, 8), 0);
	assert_int_equal(get(0x070, 8), 0);
	assert_true(in_e820(LINUX_BASE_END, MIB, 2));
	assert_layout();
}

/* --- low memory ------------------------------------------------------------------------------ */

static void boot_params_have_the_header_and_nothing_else_of_the_image(void **state)
{
	(void)state;
	put(0x250, 8, 0x1234); /* a list that is not there */
	accepted();
	assert_memory_equal(low.boot_params + 0x1fa, image + 0x1fa, 0x210 - 0x1fa);
	assert_memory_equal(low.boot_params + 0x22c, image + 0x22c, 0x250 - 0x22c);
	assert_memory_equal(low.boot_params + 0x258, image + 0x258, 0x26c - 0x258);
	assert_int_equal(get(0x210, 1), 0xff);
	assert_int_equal(get(0x211, 1), 1);
	assert_int_equal(get(0x214, 4), 16 * MIB);
	assert_int_equal(get(0x218, 4), piece_of(initrd)->gpa);
	assert_int_equal(get(0x21c, 4), sizeof(initrd));
	assert_int_equal(get(0x0c0, 8), 0);
	assert_int_equal(get(0x250, 8), 0);
	assert_int_equal(get(0x070, 8), 0xe0000);
	assert_int_equal(get(0x1ef, 1), 0); /* the sentinel */
	for (size_t i = 0x26c; i < 0x2d0; i++)
		assert_int_equal(low.boot_params[i], 0);
	put(0x201, 1, 0xff); /* a header longer than there is room */
	accepted();
	for (size_t i = 0x290; i < 0x2d0; i++)
		assert_int_equal(low.boot_params[i], 0);
}

/* As the CPU walks, within `low` alone. */
static uint64_t translate(uint64_t address)
{
	const uint64_t *table = (const uint64_t *)((uint8_t *)&low + (plan.cr3 - LINUX_LOW_GPA));

	for (int shift = 39; shift > 21; shift -= 9) {
		uint64_t e = table[address >> shift & 511];

		assert_int_equal(e & 0xfff, 3);
		assert_in_range(e, LINUX_LOW_GPA, LINUX_LOW_GPA + sizeof(low));
		table = (const uint64_t *)((uint8_t *)&low +
					   ((e & ~UINT64_C(0xfff)) - LINUX_LOW_GPA));
	}
	assert_int_equal(table[address >> 21 & 511] & 0x1fffff, 0x83);
	return (table[address >> 21 & 511] & ~UINT64_C(0x1fffff)) | (address & 0x1fffff);
}

static void the_first_4_gib_are_mapped_one_to_one(void **state)
{
	(void)state;
	accepted();
	for (uint64_t address = 0x12345; address < 4 * GIB; address += 2 * MIB)
		assert_int_equal(translate(address), address);
	for (size_t i = 0; i < 512; i++) {
		assert_true(!low.pml4[i] == (i > 0));
		assert_true(!low.pdpt[i] == (i > 3));
	}
}

static void the_registers_are_those_of_the_protocol(void **state)
{
	(void)state;
	accepted();
	assert_int_equal(plan.rip, kernel()->gpa + 0x200);
	assert_int_equal(plan.rsi, LINUX_LOW_GPA + offsetof(struct linux_low, boot_params));
	assert_int_equal(plan.gdt_base, LINUX_LOW_GPA + offsetof(struct linux_low, gdt));
	assert_int_equal(plan.gdt_limit, 31);
	assert_int_equal(low.gdt[2], 0x00af9b000000ffff);
	assert_int_equal(low.gdt[3], 0x00cf93000000ffff);
	assert_int_equal(plan.stack % 16, 0);
	assert_int_equal(plan.stack, LINUX_LOW_GPA + sizeof(low));
	assert_true(plan.stack <= LINUX_BASE_END);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(each_wrong_field_has_a_sentence_of_its_own),
		TEST(an_image_that_is_cut_off_anywhere_is_refused),
		TEST(a_kernel_that_cannot_move_needs_its_own_place),
		TEST(a_kernel_that_can_move_lies_above_1_mib_and_aligned),
		TEST(tables_outside_of_the_hole_below_1_mib_are_refused),
		TEST(the_frequency_stands_before_the_text_unless_it_is_there),
		TEST(a_command_line_may_be_as_long_as_the_kernel_takes),
		TEST(a_zero_byte_in_the_command_line_is_refused),
		TEST(pieces_lie_in_ram_and_apart_in_regions_of_any_size),
		TEST(above_4_gib_the_guest_finds_the_rest_of_its_memory),
		TEST(the_smallest_region_holds_what_the_kernel_needs_and_the_initrd),
		TEST(an_initrd_lies_as_high_as_region_and_kernel_allow),
		TEST(an_initrd_that_no_region_has_room_for_is_refused_as_too_large),
		TEST(without_initrd_and_tables_their_fields_are_zero),
		TEST(boot_params_have_the_header_and_nothing_else_of_the_image),
		TEST(the_first_4_gib_are_mapped_one_to_one),
		TEST(the_registers_are_those_of_the_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
