/* SPDX-License-Identifier: MIT */
/* The evils of the payload `bad` that go where nothing is, that cannot be delivered, that never
 * end, or that 64-bit mode has no more. */
#include "guest/test/bad/bad.h"
#include "guest/test/bad/user.h"

#include "guest/lib/cpu.h"
#include "guest/lib/line.h"
#include "guest/lib/probe.h"
#include "guest/lib/window.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* --- where nothing is ----------------------------------------------------------------------- */

static bool wild(uint64_t gpa)
{
	volatile uint64_t *word = window_at(gpa);

	print_text("bad: reads where it has no memory");
	return probe_equal("read", *word, ~UINT64_C(0));
}

static unsigned int physical_bits(void)
{
	return cpuid(0x80000008).a & 0xff;
}

/* Or half of what this CPU can address, if that is less. */
bool bad_wild_tib(struct vcpu *me)
{
	unsigned int bits = physical_bits();

	(void)me;
	return wild(UINT64_C(1) << (bits > 40 ? 40 : bits - 1));
}

/* The last word that this CPU can address. */
bool bad_wild_top(struct vcpu *me)
{
	(void)me;
	return wild((UINT64_C(1) << physical_bits()) - sizeof(uint64_t));
}

bool bad_wild_tables(struct vcpu *me)
{
	print_text("bad: has its page tables where it has no memory");
	asm volatile("mov %0, %%cr3" : : "r"(me->region) : "memory");
	return false;
}

/* --- exceptions that meet nothing on their way ------------------------------------------------ */

bool bad_wild_gates(struct vcpu *me)
{
	struct table_register moved = { 0xfff, me->region };

	print_text("bad: has its descriptor table where it has no memory");
	asm volatile("lidt %0; ud2" : : "m"(moved) : "memory");
	return false;
}

/* An exception with the stack at `top`. */
static void raise_on_stack(uint64_t top)
{
	static uint64_t old;

	asm volatile("movq $77f, probe_resume\n\tmovq %%rsp, %0\n\tmovq %1, %%rsp\n\tud2\n"
		     "77:\tmovq %0, %%rsp"
		     : "+m"(old)
		     : "r"(top)
		     : "memory");
}

bool bad_wild_stack(struct vcpu *me)
{
	print_text("bad: has its stack where it has no memory");
	raise_on_stack(me->region + 2 * PAGE_BYTES);
	return false;
}

#define UNUSED_PAGE 64 /* of the work area; nobody else touches it */

/* The stack's page has not arrived: it comes, and the exception is delivered. */
bool bad_absent_stack(struct vcpu *me)
{
	raise_on_stack(me->first + UNUSED_PAGE * PAGE_BYTES);
	return probe_raised("ud2 on a stack that was not there", TRAP_UD, 0);
}

/* --- storms --------------------------------------------------------------------------------- */

static bool go_on(struct trap_frame *frame)
{
	(void)frame;
	return true;
}

/* The page fault's handler mends nothing. */
bool bad_fault_storm(struct vcpu *me)
{
	(void)me;
	print_text("bad: faults for ever");
	trap_hook[TRAP_PF] = go_on;
	asm volatile("movb $0, (%0)" : : "r"(page_at(GUEST_STACKS)) : "memory");
	return false;
}

#define STEPS               4000
#define DR7_NONE            UINT64_C(0x400)
#define DR7_8_BYTES_WRITTEN UINT64_C(0x90402)

#define RFLAGS_TF (UINT64_C(1) << 8)
#define RFLAGS_NT (UINT64_C(1) << 14)

static uint64_t steps;

static bool step(struct trap_frame *frame)
{
	if (++steps == STEPS)
		frame->rflags &= ~RFLAGS_TF;
	return true;
}

/* Each instruction raises #DB. */
bool bad_debug_storm(struct vcpu *me)
{
	uint64_t flags = RFLAGS_TF | 2;

	(void)me;
	print_text("bad: #DB after each instruction");
	trap_hook[TRAP_DB] = step;
	asm volatile("push %0; popfq" : : "r"(flags) : "cc", "memory");
	while (*(volatile uint64_t *)&steps < STEPS)
		cpu_pause();
	asm volatile("sti");
	return true;
}

/* --- data breakpoints where exceptions are pushed ------------------------------------------------
 */

static uint64_t seen;

static bool debugged(struct trap_frame *frame)
{
	(void)frame;
	seen++;
	asm volatile("mov %0, %%dr7" : : "r"(DR7_NONE));
	return true;
}

/* #DB's own push meets it. */
static bool watched_debug_frame(void)
{
	uint64_t below;

	seen = 0;
	trap_hook[TRAP_DB] = debugged;
	print_text("bad: a breakpoint where #DB is pushed");
	asm volatile("movq %%rsp, %0\n\tandq $-16, %0\n\tsubq $8, %0\n\t"
		     "movq %0, %%dr0\n\tmovq %1, %%dr7\n\t"
		     "movq %0, (%0)\n\tnop\n\t"
		     "movq %2, %%dr7"
		     : "=&r"(below)
		     : "r"(DR7_8_BYTES_WRITTEN), "r"(DR7_NONE)
		     : "cc", "memory");
	return seen > 0 || probe_equal("#DB", seen, 1);
}

/* Where another exception pushes its frame: #DB comes on top of it. */
static bool watched_frame(void)
{
	uint64_t old, top;
	bool right;

	seen = 0;
	trap_hook[TRAP_DB] = debugged;
	print_text("bad: a breakpoint where #UD is pushed");
	asm volatile("movq $77f, probe_resume\n\tmovq %%rsp, %0\n\tmovq %%rsp, %1\n\t"
		     "andq $-16, %1\n\tsubq $8, %1\n\tmovq %1, %%dr0\n\tmovq %2, %%dr7\n\t"
		     "ud2\n77:\tmovq %0, %%rsp"
		     : "=&r"(old), "=&r"(top)
		     : "r"(DR7_8_BYTES_WRITTEN)
		     : "cc", "memory");
	asm volatile("mov %0, %%dr7" : : "r"(DR7_NONE));
	right = probe_raised("ud2 on a watched stack", TRAP_UD, 0);
	return probe_equal("#DB", seen, 1) && right;
}

bool bad_watched_stack(struct vcpu *me)
{
	bool right = watched_debug_frame();

	(void)me;
	return watched_frame() && right;
}

/* #DB has a stack of its own, always the same, and each push meets the breakpoint. */
bool bad_endless_debug(struct vcpu *me)
{
	static uint64_t gates[TRAP_VECTORS * 2];
	struct table_register old, moved = { sizeof(gates) - 1, (uintptr_t)gates };
	uint64_t *top = user_init();

	(void)me;
	asm volatile("sidt %0" : "=m"(old));
	for (unsigned int i = 0; i < COUNT(gates); i++)
		gates[i] = ((uint64_t *)(uintptr_t)old.base)[i];
	gates[TRAP_DB * 2] |= UINT64_C(1) << 32; /* IST1 */
	trap_hook[TRAP_DB] = go_on;
	print_text("bad: a breakpoint where #DB is pushed, always in the same place");
	asm volatile("lidt %0\n\tmovq %1, %%dr0\n\tmovq %2, %%dr7\n\tmovq $0, (%1)\n\tnop"
		     :
		     : "m"(moved), "r"(top - 1), "r"(DR7_8_BYTES_WRITTEN)
		     : "memory");
	return false;
}

/* --- what 64-bit mode has no more ------------------------------------------------------------- */

static bool probe_far(const char *what, uint16_t selector)
{
	struct {
		uint64_t offset;
		uint16_t selector;
	} __attribute__((packed)) target = { GUEST_LOAD, selector };

	PROBE("rex64 lcall *%0", : "+m"(target) : : "memory");
	return probe_raised(what, TRAP_GP, selector & 0xfffc);
}

/* #GP with the gate in the error code, which QEMU counts in 16 bytes. */
static bool probe_gate(const char *what, uint64_t vector)
{
	uint64_t error = probe_error();

	return probe_raised(what, TRAP_GP, error == vector * 16 + 2 ? error : vector * 8 + 2);
}

static bool probe_ltr(const char *what, uint64_t selector)
{
	PROBE("ltr %w0", : : "r"(selector) : "memory");
	return probe_raised(what, TRAP_GP, selector);
}

/* Gate 31 becomes a task gate. */
static bool probe_task_gate(void)
{
	static uint64_t gates[TRAP_VECTORS * 2];
	struct table_register old, moved = { sizeof(gates) - 1, (uintptr_t)gates };

	asm volatile("sidt %0" : "=m"(old));
	for (unsigned int i = 0; i < COUNT(gates); i++)
		gates[i] = ((uint64_t *)(uintptr_t)old.base)[i];
	gates[31 * 2] = UINT64_C(0x0000850000080000);
	asm volatile("lidt %0" : : "m"(moved));
	PROBE("int $31", : : : "memory");
	asm volatile("lidt %0" : : "m"(old));
	return probe_gate("an interrupt through a task gate", 31);
}

static bool probe_nested_task(void)
{
	PROBE("pushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tiretq", : : "r"(RFLAGS_NT) : "cc", "memory");
	asm volatile("pushfq; andq %0, (%%rsp); popfq" : : "r"(~RFLAGS_NT) : "cc", "memory");
	return probe_raised("iret out of a nested task", TRAP_GP, 0);
}

bool bad_far(struct vcpu *me)
{
	bool all = true;

	(void)me;
	all = probe_far("a far call to no segment", 0) && all;
	all = probe_far("a far call into data", GUEST_DS) && all;
	all = probe_far("a far call beyond the GDT", 0x7ff8) && all;
	all = probe_far("a far call into the LDT", 0x0c) && all;
	all = probe_ltr("ltr of code", GUEST_CS) && all;
	all = probe_ltr("ltr beyond the GDT", 0x7ff8) && all;
	PROBE("int $0x50", : : : "memory");
	all = probe_gate("an interrupt beyond the IDT", 0x50) && all;
	all = probe_task_gate() && all;
	return probe_nested_task() && all;
}
