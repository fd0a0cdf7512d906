/* SPDX-License-Identifier: MIT */
/* The evils of the payload `bad` that pass values on to another VM, in registers that it has or was
 * not given: one plants them, the other one looks. */
#include "guest/test/bad/bad.h"

#include "guest/lib/cpu.h"
#include "guest/lib/line.h"
#include "guest/lib/probe.h"

#define XCR0_X87 1
#define XCR0_AVX 7 /* x87, SSE, and the upper halves of YMM */

#define SECRET UINT64_C(0x5ec2e75ec2e75ec2)

#define WIDE 4 /* words of YMM */

/* Each of these is said to work if nothing was raised. */
static bool have_xsave(void)
{
	PROBE("mov %0, %%cr4", : : "r"(cpu_cr4() | CR4_OSXSAVE) : "memory");
	return probe_vector() < 0;
}

static bool set_xcr0(uint32_t value)
{
	PROBE("xsetbv", : : "a"(value), "d"(0), "c"(0) : "memory");
	return probe_vector() < 0;
}

static uint64_t xcr0(void)
{
	uint64_t low = 0, high = 0;

	PROBE("xgetbv", : "+a"(low), "+d"(high) : "c"(0) : "memory");
	(void)probe_vector();
	return high << 32 | low;
}

/* As FNSTENV stores them. */
struct x87_environment {
	uint32_t control, status, tags;
	uint32_t instruction, code, operand, segment;
};

/* What the x87 unit keeps pointers to: this instruction, and what it wrote. */
static double x87_operand;
extern const char x87_instruction[];

static void plant_x87_pointers(void)
{
	asm volatile("fldz\n"
		     "x87_instruction:\n\t"
		     "fstpl %0"
		     : "=m"(x87_operand));
}

bool bad_plant(struct vcpu *me)
{
	uint64_t wide[WIDE] = { SECRET, SECRET, SECRET, SECRET };

	(void)me;
	plant_x87_pointers();
	asm volatile("mov %0, %%dr0" : : "r"(SECRET >> 32));
	if (!have_xsave() || !set_xcr0(XCR0_AVX))
		return true;
	print_text("right: XCR0 can be written here");
	PROBE("vmovdqu (%0), %%ymm0\n\tvmovdqu (%0), %%ymm15", : : "r"(wide) : "memory");
	if (probe_vector() < 0)
		print_text("right: YMM can be written here");
	return true;
}

/* Some CPUs of AMD's do not restore them: then a kernel below the hypervisor may have put its own
 * there. The other VM, which was the same payload, has not. */
static bool x87_pointers_are_not_planted(void)
{
	uint64_t instruction = (uint32_t)(uintptr_t)x87_instruction;
	uint64_t operand = (uint32_t)(uintptr_t)&x87_operand;
	struct x87_environment e;
	bool all;

	asm volatile("fnstenv %0" : "=m"(e) : : "memory");
	all = probe_equal("x87's last instruction is the planted one", e.instruction == instruction,
			  false);
	return probe_equal("x87's last operand is the planted one", e.operand == operand, false) &&
	       all;
}

static bool upper_halves_are_clear(void)
{
	uint64_t wide[WIDE] = { 0 }, last[WIDE] = { 0 };
	bool all = true;

	PROBE("vmovdqu %%ymm0, (%0)\n\tvmovdqu %%ymm15, (%1)", : : "r"(wide), "r"(last) : "memory");
	(void)probe_vector();
	for (unsigned int i = 0; i < WIDE; i++) {
		all = probe_equal("YMM0", wide[i], 0) && all;
		all = probe_equal("YMM15", last[i], 0) && all;
	}
	return all;
}

bool bad_find(struct vcpu *me)
{
	uint64_t dr0;
	bool all = x87_pointers_are_not_planted();

	(void)me;
	asm volatile("mov %%dr0, %0" : "=r"(dr0));
	all = probe_equal("DR0", dr0, 0) && all;
	if (!have_xsave())
		return all;
	all = probe_equal("XCR0", xcr0(), XCR0_X87) && all;
	if (set_xcr0(XCR0_AVX))
		all = upper_halves_are_clear() && all;
	return all;
}
