/* SPDX-License-Identifier: MIT */
/* What a guest may write to its control registers, by the rules in the manuals' own order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hv/cpu/control.h"

#define PE   UINT64_C(0x1)
#define NW   UINT64_C(0x20000000)
#define CD   UINT64_C(0x40000000)
#define PG   UINT64_C(0x80000000)
#define PAE  UINT64_C(0x20)
#define LME  UINT64_C(0x100)
#define LMA  UINT64_C(0x400)
#define SCE  UINT64_C(0x1)
#define NXE  UINT64_C(0x800)
#define SVME UINT64_C(0x1000)

static const struct control long_mode = {
	.cr0 = PG | PE,
	.cr4 = PAE,
	.efer = LME | LMA,
	.code_64 = true,
};

static void bits_that_do_not_exist_are_refused_in_cr4_and_efer(void **state)
{
	/* VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT SMEP SMAP */
	const uint64_t cr4 = 0x3007ff;

	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		struct control c = long_mode;
		uint64_t value = UINT64_C(1) << bit;

		assert_true(control_set_cr4(&c, PAE | value) == (cr4 >> bit & 1));
		c = long_mode;
		assert_true(control_set_efer(&c, LME | value) ==
			    ((SCE | NXE | LME | LMA) >> bit & 1));
		c = long_mode;
		assert_true(control_set_cr0(&c, PG | PE | value) == (bit < 32 && bit != 29));
	}
}

static void combinations_without_sense_are_refused_in_cr0(void **state)
{
	struct control c = long_mode, before = c;

	(void)state;
	assert_false(control_set_cr0(&c, PG));
	assert_false(control_set_cr0(&c, PG | PE | NW));
	assert_memory_equal(&c, &before, sizeof(c));
	assert_true(control_set_cr0(&c, PG | PE | NW | CD));
	assert_int_equal(c.cr0, PG | PE | NW | CD);
}

static void long_mode_needs_pae_and_keeps_lme(void **state)
{
	struct control c = long_mode, before = c;

	(void)state;
	assert_false(control_set_cr4(&c, 0));
	assert_false(control_set_efer(&c, SCE));
	assert_memory_equal(&c, &before, sizeof(c));
	assert_true(control_set_efer(&c, LME | SCE));
	assert_int_equal(c.efer, LME | LMA | SCE); /* LMA is read-only */
}

static void long_mode_follows_paging_outside_of_64_bit_code(void **state)
{
	struct control c = long_mode;

	(void)state;
	assert_false(control_set_cr0(&c, PE));
	c.code_64 = false;
	assert_true(control_set_cr0(&c, PE));
	assert_int_equal(c.efer, LME);
	c.cr4 = 0;
	assert_false(control_set_cr0(&c, PG | PE));
	c.cr4 = PAE;
	c.code_64 = true;
	assert_false(control_set_cr0(&c, PG | PE));
	c.code_64 = false;
	assert_true(control_set_cr0(&c, PG | PE));
	assert_int_equal(c.efer, LME | LMA);
	c.efer = SCE;
	c.cr0 = PE;
	c.cr4 = 0;
	assert_true(control_set_cr0(&c, PG | PE)); /* 32-bit paging */
	assert_int_equal(c.efer, SCE);
}

static void memory_types_2_and_3_and_above_7_do_not_exist(void **state)
{
	(void)state;
	for (unsigned int type = 0; type < 256; type++)
		for (unsigned int i = 0; i < 8; i++)
			assert_true(control_pat_valid((uint64_t)type << 8 * i) ==
				    (type == 0 || type == 1 || (type >= 4 && type <= 7)));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_that_do_not_exist_are_refused_in_cr4_and_efer),
		cmocka_unit_test(combinations_without_sense_are_refused_in_cr0),
		cmocka_unit_test(long_mode_needs_pae_and_keeps_lme),
		cmocka_unit_test(long_mode_follows_paging_outside_of_64_bit_code),
		cmocka_unit_test(memory_types_2_and_3_and_above_7_do_not_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
