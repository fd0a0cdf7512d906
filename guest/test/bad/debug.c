/* SPDX-License-Identifier: MIT */
/* The evils of the payload `bad` that debug it: single steps over instructions that the hypervisor
 * completes, breakpoints behind them, INT1, and debug registers that are watched. */
#include "guest/test/bad/bad.h"

#include "guest/lib/cpu.h"
#include "guest/lib/line.h"
#include "guest/lib/probe.h"

#define DR6_NONE UINT64_C(0xffff0ff0)
#define DR6_B0   (UINT64_C(1) << 0)
#define DR6_BD   (UINT64_C(1) << 13)
#define DR6_BS   (UINT64_C(1) << 14)
#define DR6_SEEN (DR6_B0 | DR6_BD | DR6_BS)
#define DR7_NONE UINT64_C(0x400)
#define DR7_GD   (UINT64_C(1) << 13)
#define DR7_X0   (DR7_NONE | 2) /* DR0: execution */

#define RFLAGS_TF (UINT64_C(1) << 8)
#define RFLAGS_RF (UINT64_C(1) << 16)

#define MSR_PAT  0x277
#define MSR_EFER 0xc0000080

/* What was expected, set by the instructions themselves, and what came. */
uint64_t debug_at;
static struct {
	uint64_t times, rip, dr6, dr7;
} came;

static uint64_t read_dr6(void)
{
	uint64_t dr6;

	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	return dr6;
}

static uint64_t read_dr7(void)
{
	uint64_t dr7;

	asm volatile("mov %%dr7, %0" : "=r"(dr7));
	return dr7;
}

static void write_dr6(uint64_t dr6)
{
	asm volatile("mov %0, %%dr6" : : "r"(dr6));
}

static void write_dr7(uint64_t dr7)
{
	asm volatile("mov %0, %%dr7" : : "r"(dr7));
}

/* Notes the first one, and ends stepping and breakpoints. */
static bool debug_hook(struct trap_frame *frame)
{
	if (came.times++ == 0) {
		came.rip = frame->rip;
		came.dr7 = read_dr7();
		came.dr6 = read_dr6() & DR6_SEEN;
	}
	write_dr6(DR6_NONE);
	write_dr7(DR7_NONE);
	frame->rflags = (frame->rflags & ~RFLAGS_TF) | RFLAGS_RF;
	return true;
}

static void debug_begin(void)
{
	came.times = 0;
	write_dr6(DR6_NONE);
	trap_hook[TRAP_DB] = debug_hook;
}

/* One #DB, with the RIP at debug_at, and these bits in DR6. */
static bool debug_came(const char *what, uint64_t dr6)
{
	if (came.times == 1 && came.rip == debug_at && came.dr6 == dr6)
		return true;
	print_text(what);
	probe_equal("#DB, times", came.times, 1);
	probe_equal("its RIP", came.rip, debug_at);
	probe_equal("its DR6", came.dr6, dr6);
	return false;
}

/* --- single steps ------------------------------------------------------------------------- */

/* POPF begins to step behind the instruction that follows it. */
#define STEP(instruction, ...)                                                                     \
	asm volatile(                                                                              \
		"movq $78f, debug_at\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t" instruction    \
		"\n78:\tnop\n\tnop" __VA_ARGS__)

/* The instruction, and what it needs; `all` goes in and comes out. */
#define STEP_OVER(name, instruction, ...)                                                          \
	do {                                                                                       \
		debug_begin();                                                                     \
		STEP(instruction, __VA_ARGS__);                                                    \
		all = debug_came("a step over " name, DR6_BS) && all;                              \
	} while (0)

static bool steps_that_ask(void)
{
	uint64_t a = ABI_PARAM, b = 0, c = 0, d = 0;
	uint64_t efer = cpu_rdmsr(MSR_EFER), pat = cpu_rdmsr(MSR_PAT);
	bool all = true;

	STEP_OVER("NOP", "nop", : : : "memory");
	STEP_OVER("CPUID", "cpuid", : "+a"(a), "+b"(b), "+c"(c), "+d"(d) : : "memory");
	a = ABI_PARAM;
	if (hypercall_by_vmmcall)
		STEP_OVER("VMMCALL", "vmmcall", : "+a"(a) : "D"(0), "S"(0), "d"(0) : "memory");
	else
		STEP_OVER("VMCALL", "vmcall", : "+a"(a) : "D"(0), "S"(0), "d"(0) : "memory");
	STEP_OVER("IN", "inb $0x60, %%al", : "+a"(a) : : "memory");
	STEP_OVER("OUT", "outl %%eax, %%dx", : : "a"(0), "d"(0x5658) : "memory");
	STEP_OVER("RDMSR", "rdmsr", : "+a"(a), "+d"(d) : "c"(MSR_EFER) : "memory");
	STEP_OVER("WRMSR", "wrmsr", : : "a"(efer), "d"(efer >> 32), "c"(MSR_EFER) : "memory");
	STEP_OVER("WRMSR of the PAT", "wrmsr",
		  :
		  : "a"(pat), "d"(pat >> 32), "c"(MSR_PAT)
		  : "memory");
	STEP_OVER("WBINVD", "wbinvd", : : : "memory");
	STEP_OVER("INVD", "invd", : : : "memory");
	STEP_OVER("HLT", "hlt", : : : "memory");
	return all;
}

static bool steps_that_control(void)
{
	uint64_t cr0 = cpu_cr0(), cr4 = cpu_cr4(), cr8 = 0;
	bool all = true;

	STEP_OVER("MOV to CR0", "mov %0, %%cr0", : : "r"(cr0 ^ CR0_WP) : "memory");
	STEP_OVER("MOV to CR0 again", "mov %0, %%cr0", : : "r"(cr0) : "memory");
	STEP_OVER("MOV to CR4", "mov %0, %%cr4", : : "r"(cr4 | CR4_SMEP) : "memory");
	STEP_OVER("MOV to CR4 again", "mov %0, %%cr4", : : "r"(cr4) : "memory");
	STEP_OVER("MOV to CR8", "mov %0, %%cr8", : : "r"(cr8) : "memory");
	STEP_OVER("MOV from CR8", "mov %%cr8, %0", : "=r"(cr8) : : "memory");
	STEP_OVER("CLTS", "clts", : : : "memory");
	STEP_OVER("LMSW", "lmsw %w0", : : "r"(cr0) : "memory");
	STEP_OVER("MOV from CR0", "mov %%cr0, %0", : "=r"(cr0) : : "memory");
	return all;
}

/* What follows MOV SS is part of the step. */
static bool step_in_a_shadow(void)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	uint32_t ss;
	bool all = true;

	asm("mov %%ss, %0" : "=r"(ss));
	STEP_OVER("MOV SS and CPUID", "mov %4, %%ss\n\tcpuid",
		  : "+a"(a), "+b"(b), "+c"(c), "+d"(d)
		  : "r"(ss)
		  : "memory");
	return all;
}

bool bad_steps(struct vcpu *me)
{
	bool all = true;

	(void)me;
	all = steps_that_ask() && all;
	all = steps_that_control() && all;
	return all;
}

/* --- breakpoints ---------------------------------------------------------------------------- */

/* On the instruction behind one that was begun with RFLAGS.RF, which ends with it. */
static bool breakpoint_behind(void)
{
	uint64_t a = 0, b = 0, c = 0, d = 0, scratch;

	debug_begin();
	asm volatile("movq $78f, debug_at\n\tmovq $78f, %4\n\tmovq %4, %%dr0\n\tmovq %5, %%dr7\n\t"
		     "movq %%rsp, %4\n\tpushq $%c7\n\tpushq %4\n\tpushfq\n\torq %6, (%%rsp)\n\t"
		     "pushq $%c8\n\tpushq $77f\n\tiretq\n77:\tcpuid\n78:\tnop"
		     : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "=&r"(scratch)
		     : "r"(DR7_X0), "r"(RFLAGS_RF), "i"(GUEST_DS), "i"(GUEST_CS)
		     : "memory");
	write_dr7(DR7_NONE);
	return debug_came("a breakpoint behind CPUID", DR6_B0);
}

/* QEMU has none. */
static bool int1(void)
{
	debug_begin();
	PROBE("movq $77f, debug_at\n\t.byte 0xf1", : : : "memory");
	if (probe_vector() == TRAP_UD) {
		print_text("right: this CPU has no INT1");
		return true;
	}
	return debug_came("INT1", 0);
}

static bool software_int(void)
{
	debug_begin();
	asm volatile("movq $78f, debug_at\n\tint $1\n78:\tnop" : : : "memory");
	return debug_came("INT 1", 0);
}

/* A port that is watched, and one that is not. */
static bool watched_port(void)
{
	uint64_t cr4 = cpu_cr4();
	bool none;

	asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_DE));
	asm volatile("mov %0, %%dr0" : : "r"(UINT64_C(0x5658)));
	write_dr7(DR7_NONE | 0x20002);
	debug_begin();
	asm volatile("outb %%al, %%dx" : : "a"(0), "d"(0x5659) : "memory");
	none = came.times == 0;
	asm volatile("movq $78f, debug_at\n\toutw %%ax, %%dx\n78:\tnop"
		     :
		     : "a"(0), "d"(0x5657)
		     : "memory");
	write_dr7(DR7_NONE);
	asm volatile("mov %0, %%cr4" : : "r"(cr4));
	return debug_came("a watched port", DR6_B0) && none;
}

/* A watched MOV is a fault: the hook finds GD clear, and it is made again. */
static bool watched_registers(void)
{
	uint64_t dr0;

	debug_begin();
	asm volatile("movq $77f, debug_at\n\tmovq %1, %%dr7\n77:\tmovq %%dr0, %0"
		     : "=r"(dr0)
		     : "r"(DR7_NONE | DR7_GD)
		     : "memory");
	write_dr7(DR7_NONE);
	if (came.times == 0) {
		print_text("right: this CPU does not watch its debug registers");
		return true;
	}
	return debug_came("DR7.GD", DR6_BD) &&
	       probe_equal("DR7.GD in the handler", came.dr7 & DR7_GD, 0);
}

bool bad_breakpoints(struct vcpu *me)
{
	bool all = true;

	(void)me;
	all = int1() && all;
	all = software_int() && all;
	all = breakpoint_behind() && all;
	all = step_in_a_shadow() && all;
	all = watched_port() && all;
	return watched_registers() && all;
}
