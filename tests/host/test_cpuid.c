/* SPDX-License-Identifier: MIT */
/* What CPUID tells a guest, of a machine that has everything and of one that has nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hv/cpu/control.h"
#include "hv/cpu/cpuid.h"
#include "hv/cpu/mca.h"

#define ALL UINT32_MAX
#define RAS 3

static const struct cpuid everything = { ALL, ALL, ALL, ALL };
static const struct cpuid nothing;

/* Written down from the manuals' lists, bit by bit, apart from the table: what may be told. */
static const struct {
	uint32_t leaf;
	struct cpuid may;
} allowed[] = {
	{ 0x00, { 7, ALL, ALL, ALL } },
	{ 0x01, { ALL, 0xff00, 0x80d82203, 0x0789e9ff } },
	{ 0x07, { 0, 0x00180380, 0, 0 } },
	{ 0x80000000, { 0x80000008, ALL, ALL, ALL } },
	{ 0x80000001, { ALL, 0, 0x121, 0x24100800 } },
	{ 0x80000002, { ALL, ALL, ALL, ALL } },
	{ 0x80000003, { ALL, ALL, ALL, ALL } },
	{ 0x80000004, { ALL, ALL, ALL, ALL } },
	{ 0x80000007, { 0, RAS, 0, 0 } },
	{ 0x80000008, { 0x30ff, 0, 0, 0 } },
};

static struct cpuid may(uint32_t leaf, uint32_t subleaf)
{
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		if (allowed[i].leaf == leaf && (subleaf == 0 || leaf != 7))
			return allowed[i].may;
	return nothing;
}

static void assert_same(struct cpuid a, struct cpuid b, uint32_t leaf)
{
	if (a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx)
		return;
	print_error("leaf 0x%x: %x %x %x %x, expected %x %x %x %x\n", leaf, a.eax, a.ebx, a.ecx,
		    a.edx, b.eax, b.ebx, b.ecx, b.edx);
	fail();
}

static void a_machine_that_has_everything_tells_what_is_allowed(void **state)
{
	static const uint32_t starts[] = { 0,          0x20000000, 0x40000000, 0x80000000,
					   0x8ffffff0, 0xc0000000, 0xfffff000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		for (uint32_t n = 0; n < 0x1000; n++)
			for (uint32_t subleaf = 0; subleaf < 4; subleaf++)
				assert_same(cpuid_tell(starts[i] + n, subleaf, everything, RAS),
					    may(starts[i] + n, subleaf), starts[i] + n);
}

static void a_bit_that_the_machine_does_not_have_is_not_told(void **state)
{
	(void)state;
	for (uint32_t leaf = 0; leaf < 0x100; leaf++) {
		struct cpuid low = nothing, high = nothing;

		if (leaf == 1) /* a hypervisor, and machine checks of its own */
			low = (struct cpuid){ .ecx = 1u << 31, .edx = 1u << 7 | 1u << 14 };
		if (leaf == 7)
			high.ebx = RAS;
		assert_same(cpuid_tell(leaf, 0, nothing, RAS), low, leaf);
		assert_same(cpuid_tell(0x80000000 | leaf, 0, nothing, RAS), high, leaf);
	}
}

static void smaller_figures_stay(void **state)
{
	const struct cpuid old = { 4, 1, 2, 3 };
	const struct cpuid wide = { 0x393034, 0, 0, 0 };

	(void)state;
	assert_same(cpuid_tell(0, 0, old, RAS), old, 0);
	/* 57 linear bits become 48; guest-physical bits are not told */
	assert_same(cpuid_tell(0x80000008, 0, (struct cpuid){ 0x303934, 0, 0, 0 }, RAS),
		    (struct cpuid){ 0x3034, 0, 0, 0 }, 0x80000008);
	assert_same(cpuid_tell(0x80000008, 0, wide, RAS), (struct cpuid){ 0x3034, 0, 0, 0 },
		    0x80000008);
}

/* A feature that needs a bit of CR4 is told where CR4 takes that bit, and the other way round. */
static void what_is_told_can_be_switched_on(void **state)
{
	static const struct {
		uint32_t leaf, cr4;
		bool edx; /* or EBX */
		uint32_t feature;
	} pairs[] = {
		{ 1, 0, true, 1 },   { 1, 2, true, 4 },    /* VME; TSD: TSC */
		{ 1, 3, true, 2 },   { 1, 4, true, 3 },    /* DE, PSE */
		{ 1, 5, true, 6 },   { 1, 6, true, 7 },    /* PAE, MCE */
		{ 1, 7, true, 13 },  { 1, 9, true, 24 },   /* PGE; OSFXSR: FXSR */
		{ 7, 16, false, 0 },                       /* FSGSBASE */
		{ 7, 20, false, 7 }, { 7, 21, false, 20 }, /* SMEP, SMAP */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct control c = {
			.cr0 = 0x80000001, .cr4 = 0x20, .efer = 0x500, .code_64 = true
		};
		struct cpuid told = cpuid_tell(pairs[i].leaf, 0, everything, RAS);
		uint32_t word = pairs[i].edx ? told.edx : told.ebx;

		assert_int_equal(word >> pairs[i].feature & 1,
				 control_set_cr4(&c, 0x20 | UINT64_C(1) << pairs[i].cr4));
	}
}

/* --- a whole system -------------------------------------------------------------------------- */

static const struct cpuid_system two = { .apic_id = 1, .nvcpus = 2, .components = 7, .xcr0 = 7 };

static struct cpuid of_system(uint32_t leaf, uint32_t subleaf, struct cpuid machine,
			      const struct cpuid_system *s)
{
	return cpuid_tell_system(leaf, subleaf, machine, RAS, s);
}

/* Written down from the manuals' lists, apart from the table. */
static void a_system_is_told_what_is_allowed(void **state)
{
	static const struct {
		uint32_t leaf, subleaf;
		struct cpuid may;
	} told[] = {
		{ 0x00, 0, { 0xd, ALL, ALL, ALL } },
		{ 0x01, 0, { ALL, 0x0102ff00, 0xf7f83203 & ~(1u << 27), 0x1789fbff } },
		{ 0x06, 0, { 4, 0, 0, 0 } },
		{ 0x07, 0, { 0, 0x219c03a8, 0, 0 } },
		{ 0x0b, 0, { 0, 1, 0x100, 1 } },
		{ 0x0b, 1, { 1, 2, 0x201, 1 } },
		{ 0x0b, 2, { 0, 0, 2, 1 } },
		{ 0x0d, 0, { 7, 832, 832, 0 } },
		{ 0x0d, 1, { 5, 0, 0, 0 } },
		{ 0x0d, 2, { 256, 576, 0, 0 } },
		{ 0x0d, 3, { 0, 0, 0, 0 } },
		{ 0x80000007, 0, { 0, RAS, 0, 1u << 8 } },
		{ 0x80000008, 0, { 0x30ff, 0, 0x1001, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		assert_same(of_system(told[i].leaf, told[i].subleaf, everything, &two), told[i].may,
			    told[i].leaf);
	for (uint32_t leaf = 0; leaf < 0x1000; leaf++)
		if (leaf > 1 && leaf != 6 && leaf != 7 && leaf != 0xb && leaf != 0xd)
			assert_same(of_system(leaf, 0, everything, &two), nothing, leaf);
}

/* Without YMM there is nothing that needs it, and without XSAVE no leaf of it. */
static void what_needs_xsave_goes_with_it(void **state)
{
	struct cpuid_system s = two;

	(void)state;
	s.components = 3;
	s.xcr0 = 1;
	assert_int_equal(of_system(1, 0, everything, &s).ecx & 0x30001000, 0);
	assert_int_equal(of_system(7, 0, everything, &s).ebx & 0x20, 0);
	assert_same(of_system(0xd, 0, everything, &s), (struct cpuid){ 3, 576, 576, 0 }, 0xd);
	assert_same(of_system(0xd, 2, everything, &s), nothing, 0xd);
	s.components = 0;
	assert_int_equal(of_system(1, 0, everything, &s).ecx & 0x0c000000, 0);
	assert_same(of_system(0xd, 0, everything, &s), nothing, 0xd);
}

/* Whoever answers adds it: it says what CR4 says at that moment. */
static void osxsave_is_not_the_machines(void **state)
{
	(void)state;
	assert_int_equal(of_system(1, 0, everything, &two).ecx & CPUID_OSXSAVE, 0);
}

/* What is kept is all that there is, but for subleaves and the last leaf: the rest is zeros. */
static void leaves_behind_the_last_are_zeros(void **state)
{
	static const uint32_t behind[] = {
		CPUID_SYSTEM_MAX + 1,          0x3fffffff, 0x40000200, 0x7fffffff,
		0x80000000 + CPUID_SYSTEM_MAX, 0xffffffff
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(behind); i++)
		for (uint32_t subleaf = 0; subleaf < 3; subleaf++)
			assert_same(of_system(behind[i], subleaf, everything, &two), nothing,
				    behind[i]);
}

static void the_tsc_is_even_where_that_is_known(void **state)
{
	struct cpuid_system s = two;

	(void)state;
	assert_int_equal(of_system(0x80000007, 0, nothing, &s).edx, 0);
	assert_int_equal(of_system(0x80000007, 0, everything, &s).edx, 1u << 8);
	s.even_tsc = true;
	assert_int_equal(of_system(0x80000007, 0, nothing, &s).edx, 1u << 8);
}

/* The vCPU's number is the same wherever it is told, and the numbers fit their bits. */
static void one_name_for_each_vcpu(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= 4; n++)
		for (uint32_t id = 0; id < n; id++) {
			struct cpuid_system s = { .apic_id = id, .nvcpus = n };
			struct cpuid c = of_system(0xb, 1, nothing, &s);

			assert_int_equal(of_system(1, 0, nothing, &s).ebx >> 24, id);
			assert_int_equal(of_system(1, 0, nothing, &s).ebx >> 16 & 0xff, n);
			assert_int_equal(c.edx, id);
			assert_int_equal(c.ebx, n);
			assert_int_equal(id >> c.eax, 0);
			assert_int_equal(of_system(1, 0, nothing, &s).edx >> 28 & 1, n > 1);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_that_has_everything_tells_what_is_allowed),
		cmocka_unit_test(a_bit_that_the_machine_does_not_have_is_not_told),
		cmocka_unit_test(smaller_figures_stay),
		cmocka_unit_test(what_is_told_can_be_switched_on),
		cmocka_unit_test(a_system_is_told_what_is_allowed),
		cmocka_unit_test(what_needs_xsave_goes_with_it),
		cmocka_unit_test(osxsave_is_not_the_machines),
		cmocka_unit_test(leaves_behind_the_last_are_zeros),
		cmocka_unit_test(the_tsc_is_even_where_that_is_known),
		cmocka_unit_test(one_name_for_each_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
