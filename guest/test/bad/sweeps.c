/* SPDX-License-Identifier: MIT */
/* The evils of the payload `bad` that ask for everything: each MSR, each port, each CPUID leaf,
 * each instruction that belongs to a hypervisor. */
#include "guest/test/bad/bad.h"
#include "guest/test/bad/lax.h"
#include "guest/lib/cpu.h"
#include "guest/lib/probe.h"
#include "guest/lib/window.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Sweeps go in steps of so many, where the hypervisor's test has no time for all: its stride. */
static uint32_t step_of(const struct vcpu *me)
{
	return (uint32_t)(me->apart / PAGE_BYTES);
}

/* --- MSRs --------------------------------------------------------------------------------- */

#define MSR_MC0_CTL 0x400

/* What a guest can read, from and to; all else is #GP. */
static const struct {
	uint32_t from, to;
	bool any; /* takes any value that is canonical: the CPU's own business */
} readable[] = {
	{ 0x10, 0x10, true },              /* TSC */
	{ 0x174, 0x176, true },            /* SYSENTER */
	{ 0x179, 0x17a, false },           /* machine checks */
	{ 0x277, 0x277, false },           /* PAT */
	{ MSR_MC0_CTL, 0x403, false },     /* bank 0 */
	{ 0xc0000080, 0xc0000080, false }, /* EFER */
	{ 0xc0000081, 0xc0000084, true },  /* SYSCALL */
	{ 0xc0000100, 0xc0000102, true },  /* FS, GS */
};

static const uint64_t hostile_values[] = { ~UINT64_C(0), UINT64_C(1) << 62 };

static bool is_readable(uint32_t msr, bool *any)
{
	for (unsigned int i = 0; i < COUNT(readable); i++)
		if (msr >= readable[i].from && msr <= readable[i].to) {
			*any = readable[i].any;
			return true;
		}
	*any = false;
	return false;
}

static bool msr_answers(uint32_t msr)
{
	bool any, exists = is_readable(msr, &any);
	int vector;

	PROBE("rdmsr", : : "c"(msr) : "rax", "rdx", "memory");
	vector = probe_vector();
	if (vector != (exists ? -1 : TRAP_GP)) {
		probe_equal("rdmsr of", msr, ~UINT64_C(0));
		return probe_equal("its exception", (uint64_t)vector, TRAP_GP);
	}
	for (unsigned int i = 0; i < COUNT(hostile_values) && !any && msr != MSR_MC0_CTL; i++) {
		PROBE("wrmsr",
		      :
		      : "c"(msr), "a"((uint32_t)hostile_values[i]), "d"(hostile_values[i] >> 32)
		      : "memory");
		vector = probe_vector();
		if (vector != TRAP_GP) {
			probe_equal("wrmsr of", msr, ~UINT64_C(0));
			return probe_equal("its exception", (uint64_t)vector, TRAP_GP);
		}
	}
	return true;
}

bool bad_all_msrs(struct vcpu *me)
{
	static const uint32_t starts[] = { 0, 0xc0000000, 0xc0010000 };
	bool all = true;

	for (unsigned int i = 0; i < COUNT(starts); i++)
		for (uint32_t msr = starts[i]; all && msr < starts[i] + 0x2000; msr += step_of(me))
			all = msr_answers(msr);
	return all;
}

/* --- ports -------------------------------------------------------------------------------- */

#define BEFORE UINT64_C(0x1122334455667788)

static bool port_answers(uint16_t port)
{
	uint64_t byte = BEFORE, word = BEFORE, dword = BEFORE;

	asm volatile("inb %w1, %b0" : "+a"(byte) : "d"(port));
	asm volatile("inw %w1, %w0" : "+a"(word) : "d"(port));
	asm volatile("inl %w1, %k0" : "+a"(dword) : "d"(port));
	asm volatile("outb %b0, %w1" : : "a"(BEFORE), "d"(port));
	asm volatile("outw %w0, %w1" : : "a"(BEFORE), "d"(port));
	asm volatile("outl %k0, %w1" : : "a"(BEFORE), "d"(port));
	if (byte == (BEFORE | 0xff) && word == (BEFORE | 0xffff) && dword == 0xffffffff)
		return true;
	probe_equal("port", port, ~UINT64_C(0));
	return probe_equal("inb", byte, BEFORE | 0xff) &&
	       probe_equal("inw", word, BEFORE | 0xffff) && probe_equal("inl", dword, 0xffffffff);
}

/* hv/abi.h: no port takes strings. */
static bool port_takes_no_string(uint16_t port)
{
	static uint8_t bytes[16];
	uint64_t n = 4;
	void *at = bytes;
	int vectors[4];

	PROBE("outsb", : "+S"(at) : "d"(port) : "memory");
	vectors[0] = probe_vector();
	PROBE("rep outsl", : "+S"(at), "+c"(n) : "d"(port) : "memory");
	vectors[1] = probe_vector();
	PROBE("insb", : "+D"(at) : "d"(port) : "memory");
	vectors[2] = probe_vector();
	PROBE("rep insw", : "+D"(at), "+c"(n) : "d"(port) : "memory");
	vectors[3] = probe_vector();
	for (unsigned int i = 0; i < COUNT(vectors); i++)
		if (vectors[i] != TRAP_UD)
			return probe_equal("strings at a port", (uint64_t)vectors[i], TRAP_UD);
	return probe_equal("registers of a string", n + (uint64_t)(uintptr_t)at,
			   4 + (uint64_t)(uintptr_t)bytes);
}

bool bad_all_ports(struct vcpu *me)
{
	bool all = true;

	for (uint32_t port = 0; all && port <= UINT16_MAX; port += step_of(me))
		all = port_answers((uint16_t)port);
	return port_takes_no_string(0x60) && port_takes_no_string(0xffff) && all;
}

/* --- CPUID -------------------------------------------------------------------------------- */

/* Each leaf answers, and nothing shows that would need state that is not switched. */
bool bad_all_leaves(struct vcpu *me)
{
	static const uint32_t starts[] = { 0, 0x40000000, 0x80000000, 0xc0000000, 0xffffff00 };
	bool all = true;

	(void)me;
	for (unsigned int i = 0; i < COUNT(starts); i++)
		for (uint32_t n = 0; n < 256; n++)
			(void)cpuid(starts[i] + n);
	all = probe_equal("CPUID 1: VMX, XSAVE, OSXSAVE, AVX, x2APIC", cpuid(1).c & 0x1c200020,
			  0) &&
	      all;
	all = probe_equal("CPUID 1: APIC, MTRR", cpuid(1).d & 0x1200, 0) && all;
	all = probe_equal("CPUID 80000001: SVM", cpuid(0x80000001).c & 4, 0) && all;
	all = probe_equal("CPUID 80000001: RDTSCP", cpuid(0x80000001).d >> 27 & 1, 0) && all;
	all = probe_equal("CPUID 8000000a", cpuid(0x8000000a).a | cpuid(0x8000000a).d, 0) && all;
	return all;
}

/* --- a hypervisor's instructions ------------------------------------------------------------ */

struct stub {
	const char *name;
	uint8_t bytes[5];
	uint8_t vector;
};

#define UD(name, ...)                                                                              \
	{                                                                                          \
		name, { __VA_ARGS__ }, TRAP_UD                                                     \
	}
#define GP(name, ...)                                                                              \
	{                                                                                          \
		name, { __VA_ARGS__ }, TRAP_GP                                                     \
	}

/* By their bytes: no assembler need know them. Memory operands are (%rax). */
static const struct stub stubs[] = {
	UD("vmclear", 0x66, 0x0f, 0xc7, 0x30),
	UD("vmptrld", 0x0f, 0xc7, 0x30),
	UD("vmptrst", 0x0f, 0xc7, 0x38),
	UD("vmxon", 0xf3, 0x0f, 0xc7, 0x30),
	UD("vmresume", 0x0f, 0x01, 0xc3),
	UD("vmlaunch", 0x0f, 0x01, 0xc2),
	UD("vmxoff", 0x0f, 0x01, 0xc4),
	UD("vmread", 0x0f, 0x78, 0xc0),
	UD("vmwrite", 0x0f, 0x79, 0xc0),
	UD("vmfunc", 0x0f, 0x01, 0xd4),
	UD("invept", 0x66, 0x0f, 0x38, 0x80, 0x08),
	UD("invvpid", 0x66, 0x0f, 0x38, 0x81, 0x08),
	UD("getsec", 0x0f, 0x37),
	UD("rsm", 0x0f, 0xaa),
	UD("vmrun", 0x0f, 0x01, 0xd8),
	UD("vmload", 0x0f, 0x01, 0xda),
	UD("vmsave", 0x0f, 0x01, 0xdb),
	UD("stgi", 0x0f, 0x01, 0xdc),
	UD("clgi", 0x0f, 0x01, 0xdd),
	UD("skinit", 0x0f, 0x01, 0xde),
	UD("invlpga", 0x0f, 0x01, 0xdf),
	UD("xgetbv", 0x0f, 0x01, 0xd0),
	UD("xsetbv", 0x0f, 0x01, 0xd1),
	UD("monitor", 0x0f, 0x01, 0xc8),
	UD("mwait", 0x0f, 0x01, 0xc9),
	GP("rdpmc", 0x0f, 0x33),
};

bool bad_instructions(struct vcpu *me)
{
	uint8_t *code = window_at(me->first);
	uint32_t aux = 0;
	bool all = true;
	int vector;

	for (unsigned int i = 0; i < COUNT(stubs); i++) {
		for (unsigned int n = 0; n < sizeof(stubs->bytes); n++)
			code[n] = stubs[i].bytes[n] ? stubs[i].bytes[n] : 0x90;
		code[sizeof(stubs->bytes)] = 0xff; /* jmp *%rsi */
		code[sizeof(stubs->bytes) + 1] = 0xe6;
		PROBE("leaq 77f(%%rip), %%rsi\n\tjmp *%0",
		      :
		      : "r"((uint64_t)(uintptr_t)code), "a"(me->first), "c"(0), "d"(0)
		      : "rsi", "cc", "memory");
		all = probe_raised(stubs[i].name, stubs[i].vector, 0) && all;
	}
	/* QEMU's SVM lets RDTSCP pass: then it may tell nothing of the host. */
	PROBE("rdtscp", : "+c"(aux) : : "rax", "rdx", "memory");
	if (probe_vector() != TRAP_UD)
		all = probe_equal("rdtscp: ECX", aux, 0) && all;
	if (hypercall_by_vmmcall)
		PROBE("vmcall", : : "a"(0) : "cc", "memory");
	else
		PROBE("vmmcall", : : "a"(0) : "cc", "memory");
	vector = probe_vector();
	/* The code is write-protected. KVM does it to a nested guest on AMD's CPUs only. */
	if (is_lax(me, LAX_CALL) && vector == TRAP_PF)
		return probe_equal("a write to the other maker's call", probe_error(), 3) && all;
	return probe_equal("the other maker's call", (uint64_t)vector, TRAP_UD) && all;
}
