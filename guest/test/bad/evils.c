/* SPDX-License-Identifier: MIT */
/* The evils of the payload `bad` that go on afterwards: wrong instructions, wrong arguments. */
#include "guest/test/bad/bad.h"
#include "guest/test/bad/lax.h"
#include "guest/lib/cpu.h"
#include "guest/lib/probe.h"

#define MSR_TSC     0x10
#define MSR_PAT     0x277
#define MSR_EFER    0xc0000080
#define MSR_NOWHERE 0x4fff0000 /* outside all ranges that CPUs define */

#define BIT_62 (UINT64_C(1) << 62)
#define BIT_63 (UINT64_C(1) << 63)

/* Each question is asked, whatever came out of those before. */
static void note(bool *all, bool right)
{
	*all = *all && right;
}

static bool probe_rdmsr(const char *what, uint32_t msr)
{
	PROBE("rdmsr", : : "c"(msr) : "rax", "rdx", "memory");
	return probe_raised(what, TRAP_GP, 0);
}

static bool probe_wrmsr(const char *what, uint32_t msr, uint64_t value)
{
	PROBE("wrmsr", : : "c"(msr), "a"((uint32_t)value), "d"(value >> 32) : "memory");
	return probe_raised(what, TRAP_GP, 0);
}

/* MSRs of features that CPUID tells of. */
static bool promised_msrs(void)
{
	static const struct {
		uint32_t msr, edx_bit; /* of leaf 1 */
	} promised[] = {
		{ MSR_TSC, 4 }, { 0x179, 7 },  { 0x17a, 14 },   { 0x174, 11 },
		{ 0x175, 11 },  { 0x176, 11 }, { MSR_PAT, 16 },
	};
	bool all = true;

	for (unsigned int i = 0; i < sizeof(promised) / sizeof(*promised); i++) {
		PROBE("rdmsr", : : "c"(promised[i].msr) : "rax", "rdx", "memory");
		if (probe_vector() >= 0 && cpuid(1).d >> promised[i].edx_bit & 1)
			all = probe_equal("a promised MSR raises", promised[i].msr, 0);
	}
	return all;
}

/* The TSC can be set, and goes on from there. */
static bool set_tsc(void)
{
	const uint64_t year = UINT64_C(1) << 56;
	uint64_t now = cpu_tsc();
	bool right;

	PROBE("wrmsr", : : "c"(MSR_TSC), "a"(0), "d"(year >> 32) : "memory");
	right = probe_vector() < 0 && cpu_tsc() >= year && cpu_tsc() < year + (year >> 8);
	PROBE("wrmsr", : : "c"(MSR_TSC), "a"((uint32_t)now), "d"(now >> 32) : "memory");
	(void)probe_vector();
	return probe_equal("the TSC was set", right, true) && cpu_tsc() < year;
}

bool bad_msr(struct vcpu *me)
{
	bool all = true;

	(void)me;
	note(&all, probe_rdmsr("rdmsr of an unknown MSR", MSR_NOWHERE));
	note(&all, probe_wrmsr("wrmsr of an unknown MSR", MSR_NOWHERE, 0));
	note(&all, probe_rdmsr("rdmsr of 0xffffffff", 0xffffffff));
	note(&all, probe_wrmsr("PAT: type 2", MSR_PAT, 2));
	note(&all, probe_wrmsr("PAT: type 8 at the end", MSR_PAT, UINT64_C(8) << 56));
	note(&all, probe_equal("CPUID 80000008: EBX", cpuid(0x80000008).b, 0));
	note(&all, promised_msrs());
	note(&all, set_tsc());
	note(&all, probe_equal("CPUID 1: hypervisor present", cpuid(1).c >> 31, 1));
	note(&all, probe_equal("CPUID 0x40000000: EBX", cpuid(ABI_CPUID_BASE).b, 0x61656c43));
	return all;
}

bool bad_vmx(struct vcpu *me)
{
	static uint64_t operand[2];
	bool all = true;

	note(&all, probe_equal("CPUID 1: VMX", cpuid(1).c >> 5 & 1, 0));
	note(&all, probe_equal("CR4.VMXE", cpu_cr4() & CR4_VMXE, 0));
	PROBE("vmxon %0", : "+m"(operand) : : "cc", "memory");
	note(&all, probe_raised("vmxon", TRAP_UD, 0));
	PROBE("vmptrld %0", : "+m"(operand) : : "cc", "memory");
	note(&all, probe_raised("vmptrld", TRAP_UD, 0));
	PROBE("vmread %0, %0", : : "r"(UINT64_C(0)) : "cc", "memory");
	note(&all, probe_raised("vmread", TRAP_UD, 0));
	PROBE("vmlaunch", : : : "cc", "memory");
	note(&all, probe_raised("vmlaunch", TRAP_UD, 0));
	PROBE("vmxoff", : : : "cc", "memory");
	note(&all, probe_raised("vmxoff", TRAP_UD, 0));
	PROBE("invept %0, %1", : : "m"(operand), "r"(UINT64_C(2)) : "cc", "memory");
	note(&all, probe_raised("invept", TRAP_UD, 0));
	PROBE("invvpid %0, %1", : : "m"(operand), "r"(UINT64_C(2)) : "cc", "memory");
	note(&all, probe_raised("invvpid", TRAP_UD, 0));
	PROBE("vmrun %%rax", : : "a"(me->first) : "cc", "memory");
	note(&all, probe_raised("vmrun", TRAP_UD, 0));
	PROBE("stgi", : : : "cc", "memory");
	note(&all, probe_raised("stgi", TRAP_UD, 0));
	return all;
}

bool bad_ports(struct vcpu *me)
{
	uint64_t byte = 0, word = 0, dword = 0;
	const uint16_t port = 0x5658;
	bool all = true;

	(void)me;
	asm volatile("inb %w1, %b0" : "+a"(byte) : "d"(port));
	asm volatile("inw %w1, %w0" : "+a"(word) : "d"(port));
	asm volatile("inl %w1, %k0" : "+a"(dword) : "d"(port));
	note(&all, probe_equal("inb", byte, 0xff));
	note(&all, probe_equal("inw", word, 0xffff));
	note(&all, probe_equal("inl", dword, 0xffffffff));
	asm volatile("outl %k0, %w1" : : "a"(0x12345678), "d"(port));
	asm volatile("inb $0x60, %b0" : "+a"(byte));
	note(&all, probe_equal("inb of the keyboard", byte, 0xff));
	return all;
}

bool bad_hypercalls(struct vcpu *me)
{
	uint64_t text = me->first;
	bool all = true;

	note(&all, probe_equal("call 8", hypercall(8, 0, 0, 0), ABI_BAD));
	note(&all, probe_equal("call 2^32", hypercall(UINT64_C(1) << 32, 0, 0, 0), ABI_BAD));
	note(&all, probe_equal("call -1", hypercall(~UINT64_C(0), 0, 0, 0), ABI_BAD));
	note(&all, probe_equal("param 6", hypercall(ABI_PARAM, 6, 0, 0), ABI_BAD));
	note(&all, probe_equal("param -1", hypercall(ABI_PARAM, ~UINT64_C(0), 0, 0), ABI_BAD));
	note(&all, probe_equal("a text too long", hypercall(ABI_PUTS, text, ABI_PUTS_MAX + 1, 0),
			       ABI_BAD));
	note(&all, probe_equal("a text of -1 bytes", hypercall(ABI_PUTS, text, ~UINT64_C(0), 0),
			       ABI_BAD));
	note(&all, probe_equal("a text beyond the memory", hypercall(ABI_PUTS, me->region, 1, 0),
			       ABI_BAD));
	note(&all, probe_equal("a text across the end of the memory",
			       hypercall(ABI_PUTS, me->region - 4, 8, 0), ABI_BAD));
	note(&all, probe_equal("a text across the end of all addresses",
			       hypercall(ABI_PUTS, ~UINT64_C(0) - 3, 8, 0), ABI_BAD));
	return all;
}

/* All but RSP; RAX and RDI are the question. */
bool bad_registers(struct vcpu *me)
{
	static const char *const names[REGISTERS] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
		"r9",  "r10", "r11", "r12", "r13", "r14", "r15",
	};
	uint64_t before[REGISTERS], after[REGISTERS];
	bool all = true;

	for (unsigned int i = 0; i < REGISTERS; i++)
		before[i] = after[i] = mix64(me->seed + i);
	after[REGISTER_RAX] = ABI_PARAM;
	before[REGISTER_RDI] = after[REGISTER_RDI] = ABI_P_REGION;
	before[REGISTER_RAX] = me->region; /* the answer */
	registers_call(after);
	for (unsigned int i = 0; i < REGISTERS; i++)
		note(&all, probe_equal(names[i], after[i], before[i]));
	return all;
}

static bool probe_cr0(const char *what, uint64_t value)
{
	PROBE("mov %0, %%cr0", : : "r"(value) : "memory");
	return probe_raised(what, TRAP_GP, 0);
}

bool is_lax(const struct vcpu *me, uint64_t bit)
{
	return (me->apart / PAGE_BYTES - 1) & bit;
}

/* True if the last PROBE() raised #GP, or nothing, on a machine that is known for that. */
static bool refused(const struct vcpu *me, const char *what, uint64_t bit)
{
	if (!is_lax(me, bit))
		return probe_raised(what, TRAP_GP, 0);
	return probe_equal(what, (uint64_t)probe_vector(), (uint64_t)-1);
}

static bool probe_cr4(const char *what, uint64_t value)
{
	PROBE("mov %0, %%cr4", : : "r"(value) : "memory");
	return probe_raised(what, TRAP_GP, 0);
}

/* Apart from the others: emulators of SVM get this one wrong. */
bool bad_paging(struct vcpu *me)
{
	(void)me;
	return probe_cr0("CR0: paging without protection", cpu_cr0() & ~CR0_PE);
}

bool bad_control(struct vcpu *me)
{
	uint64_t cr0 = cpu_cr0(), cr4 = cpu_cr4();
	bool all = true;

	note(&all, probe_cr0("CR0: not write-through, but cached", cr0 | CR0_NW));
	PROBE("mov %0, %%cr0", : : "r"(cr0 | BIT_63) : "memory");
	note(&all, refused(me, "CR0: bit 63", LAX_CR0));
	note(&all, probe_equal("CR0", cpu_cr0(), cr0));
	note(&all, probe_cr4("CR4: VMX", cr4 | CR4_VMXE));
	PROBE("mov %0, %%cr4", : : "r"(cr4 | BIT_63) : "memory");
	note(&all, refused(me, "CR4: bit 63", LAX_CR4));
	note(&all, probe_cr4("CR4: no PAE in long mode", cr4 & ~CR4_PAE));
	note(&all, probe_equal("CR4", cpu_cr4(), cr4));
	note(&all, probe_wrmsr("EFER: bit 63", MSR_EFER, BIT_63));
	note(&all, probe_wrmsr("EFER: no long mode while paging", MSR_EFER, 0));
	PROBE("mov %0, %%cr8", : : "r"(UINT64_C(16)) : "memory");
	note(&all, refused(me, "CR8: 16", LAX_CR8));
	return all;
}

static bool probe_load(const char *what, uint64_t address, uint64_t vector)
{
	PROBE("mov (%0), %%rax", : : "r"(address) : "rax", "memory");
	return probe_raised(what, vector, 0);
}

/* Error code of a store's page fault: bit 0 if the page is mapped, bit 1 for the store. */
static bool probe_store(const char *what, uint64_t address, uint64_t error)
{
	bool right;

	PROBE("movb $0, (%0)", : : "r"(address) : "memory");
	right = probe_raised(what, TRAP_PF, error);
	return probe_equal("CR2", probe_fault_address(), address) && right;
}

bool bad_exceptions(struct vcpu *me)
{
	uint32_t low = 1, high = 0;
	bool all = true;

	(void)me;
	PROBE("div %2", : "+a"(low), "+d"(high) : "r"(0) : "cc", "memory");
	note(&all, probe_raised("division by 0", TRAP_DE, 0));
	PROBE("int3", : : : "memory");
	note(&all, probe_raised("int3", TRAP_BP, 0));
	PROBE("ud2", : : : "memory");
	note(&all, probe_raised("ud2", TRAP_UD, 0));
	note(&all, probe_load("load from a non-canonical address", BIT_62, TRAP_GP));
	note(&all, probe_load("load from beyond 4 GiB", GUEST_MAPPED_BYTES, TRAP_PF));
	note(&all, probe_store("store beyond 4 GiB", GUEST_MAPPED_BYTES + 8, 2));
	PROBE("jmp *%0", : : "r"(UINT64_C(GUEST_DATA)) : "memory");
	note(&all, probe_raised("jump into the data", TRAP_PF, 0x11));
	note(&all, probe_store("store below a stack", GUEST_STACKS, 2));
	if (cpu_cr0() & CR0_WP)
		note(&all, probe_store("store to the code", GUEST_LOAD, 3));
	return all;
}
