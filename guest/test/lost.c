/* SPDX-License-Identifier: MIT */
/*
 * Payload of the in-machine tests: goes over its pages, some of which are lost, and takes each
 * machine check. The bank must name the very address; each other page must hold, as for `poke`, the
 * last word's own address within its GiB. The seed is a set of the flags below.
 *
 * What it tells: ABI_PASS with the number of machine checks and a hash chain over their addresses;
 * ABI_DONE with the number of pages that were right. Only vCPU 0 does something.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/line.h"
#include "guest/lib/probe.h"
#include "guest/lib/window.h"

enum {
	LOST_STORE = 1,     /* touches by stores instead of loads */
	LOST_FETCH = 2,     /* executes each page, after a store to it */
	LOST_NO_MCE = 4,    /* leaves CR4.MCE clear */
	LOST_STAY = 8,      /* stays within the first machine check */
	LOST_OFF = 16,      /* switches the bank off */
	LOST_DELIVERY = 32, /* has a descriptor table that begins on its first page */
	LOST_KEEP = 64,     /* does not clear the bank */
};

#define PASSES   2 /* what is lost stays lost */
#define GIB_MASK UINT64_C(0x3fffffff)

#define CR4_MCE        (UINT64_C(1) << 6)
#define MSR_MCG_CAP    0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MCG_CTL    0x17b
#define MSR_MC0_CTL    0x400
#define MSR_MC0_STATUS 0x401
#define MSR_MC0_ADDR   0x402
#define MSR_MC0_MISC   0x403
#define MSR_MC1_CTL    0x404
#define OVERFLOW       (UINT64_C(1) << 62)

/* As the manuals of each maker spell it. */
struct maker {
	uint64_t cap, status_data, status_fetch, misc;
};

static const struct maker intel = { 0x1000001, 0xbd80000000000134, 0xbd80000000000150, 0x8c };
static const struct maker amd = { 0x0000001, 0xb400280000000137, 0xb400280000000153, 0 };

static struct {
	const struct maker *maker;
	uint64_t checks; /* machine checks */
	uint64_t chain;  /* over their addresses */
	bool wrong;
} lost;

/* Says nothing where all is right: there are many pages. */
static void want(const char *what, uint64_t found, uint64_t expected)
{
	if (found != expected)
		lost.wrong |= !probe_equal(what, found, expected);
}

/* The last PROBE() raised a machine check: was it this one? */
static void take_check(const struct vcpu *me, uint64_t gpa, bool fetch, uint64_t mcg_status)
{
	uint64_t status = fetch ? lost.maker->status_fetch : lost.maker->status_data;
	bool first = lost.checks++ == 0;

	want("MCG_STATUS", cpu_rdmsr(MSR_MCG_STATUS), mcg_status);
	if (first || !(me->seed & LOST_KEEP)) {
		want("MC0_STATUS", cpu_rdmsr(MSR_MC0_STATUS), status);
		want("MC0_ADDR", cpu_rdmsr(MSR_MC0_ADDR), gpa);
		want("MC0_MISC", cpu_rdmsr(MSR_MC0_MISC), lost.maker->misc);
	} else {
		want("MC0_STATUS, kept", cpu_rdmsr(MSR_MC0_STATUS) & OVERFLOW, OVERFLOW);
	}
	lost.chain = chain_step(lost.chain, gpa);
	if (!(me->seed & LOST_KEEP))
		cpu_wrmsr(MSR_MC0_STATUS, 0);
	if (!(me->seed & LOST_STAY))
		cpu_wrmsr(MSR_MCG_STATUS, 0);
}

/* Returns true if the last PROBE() raised nothing. */
static bool was_there(const struct vcpu *me, uint64_t gpa, bool fetch)
{
	int vector = probe_vector();

	if (vector == TRAP_MC)
		take_check(me, gpa, fetch, 7); /* in progress, at RIP, which is valid */
	else if (vector >= 0)
		want("exception", (uint64_t)vector, TRAP_MC);
	return vector < 0;
}

static bool load_or_store(struct vcpu *me, uint64_t gpa)
{
	uint64_t expected = gpa & GIB_MASK, word = expected;

	if (me->seed & LOST_STORE)
		PROBE("mov %0, (%1)", : : "r"(word), "r"(gpa) : "memory");
	else
		PROBE("mov (%1), %0", : "+r"(word) : "r"(gpa) : "memory");
	if (!was_there(me, gpa, false))
		return false;
	want("word", word, expected);
	return true;
}

/* The page's last word becomes `jmp *%rcx`, and is executed. */
static bool fetch(struct vcpu *me, uint64_t gpa)
{
	volatile uint64_t *code = window_at(gpa);

	PROBE("movw $0xe1ff, (%0)", : : "r"(code) : "memory");
	(void)was_there(me, gpa, false);
	PROBE("leaq 77f(%%rip), %%rcx\n\tjmp *%0", : : "r"(code) : "rcx", "memory");
	return was_there(me, gpa, true);
}

static void pass(struct vcpu *me)
{
	for (uint64_t k = 0; k < me->pages; k++) {
		uint64_t gpa = share_gpa(me, k) + PAGE_BYTES - sizeof(uint64_t);

		me->steps += me->seed & LOST_FETCH ? fetch(me, gpa) : load_or_store(me, gpa);
	}
}

/* --- during the delivery of an exception ---------------------------------------------------- */

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define GATE_WORDS 2
#define ON_PAGE    10 /* so many gates lie on the lost page: #UD's, but not #MC's */

/* #UD cannot be delivered; the #MC comes in its place, and nothing can be restarted. */
static void deliver(struct vcpu *me)
{
	struct table_register old, moved;
	uint64_t *gates;

	asm volatile("sidt %0" : "=m"(old));
	gates = (uint64_t *)(uintptr_t)old.base;
	moved.limit = old.limit;
	moved.base = me->first + PAGE_BYTES - ON_PAGE * GATE_WORDS * sizeof(*gates);
	for (unsigned int i = 0; i < (TRAP_VECTORS - ON_PAGE) * GATE_WORDS; i++)
		page_at(me->first + PAGE_BYTES)[i] = gates[ON_PAGE * GATE_WORDS + i];
	asm volatile("lidt %0" : : "m"(moved));
	PROBE("ud2", : : : "memory");
	asm volatile("lidt %0" : : "m"(old));
	want("exception", (uint64_t)probe_vector(), TRAP_MC);
	take_check(me, moved.base + TRAP_UD * GATE_WORDS * sizeof(*gates), false, 6);
}

/* --- the registers -------------------------------------------------------------------------- */

static void want_gp_write(const char *what, uint32_t msr, uint64_t value)
{
	PROBE("wrmsr", : : "c"(msr), "a"((uint32_t)value), "d"(value >> 32) : "memory");
	want(what, (uint64_t)probe_vector(), TRAP_GP);
}

static void want_gp_read(const char *what, uint32_t msr)
{
	PROBE("rdmsr", : : "c"(msr) : "rax", "rdx", "memory");
	want(what, (uint64_t)probe_vector(), TRAP_GP);
}

static void look_at_registers(void)
{
	lost.maker = cpuid(0).b == 0x68747541 ? &amd : &intel; /* "Auth" */
	want("CPUID 1: MCE and MCA", cpuid(1).d & (1u << 7 | 1u << 14), 1u << 7 | 1u << 14);
	want("CPUID 80000007: recovery", cpuid(0x80000007).b & 3, lost.maker == &amd ? 3 : 0);
	want("MCG_CAP", cpu_rdmsr(MSR_MCG_CAP), lost.maker->cap);
	want("MCG_STATUS", cpu_rdmsr(MSR_MCG_STATUS), 0);
	want("MC0_STATUS", cpu_rdmsr(MSR_MC0_STATUS), 0);
	want_gp_write("MCG_CAP written", MSR_MCG_CAP, lost.maker->cap);
	want_gp_write("MCG_STATUS: bit 63", MSR_MCG_STATUS, UINT64_C(1) << 63);
	want_gp_write("MC0_STATUS: 1", MSR_MC0_STATUS, 1);
	want_gp_write("MC0_ADDR: 1", MSR_MC0_ADDR, 1);
	want_gp_write("MC0_MISC: 1", MSR_MC0_MISC, 1);
	want_gp_read("MCG_CTL", MSR_MCG_CTL);
	want_gp_read("bank 1", MSR_MC1_CTL);
}

static void set_mce(bool on)
{
	uint64_t cr4 = (cpu_cr4() & ~CR4_MCE) | (on ? CR4_MCE : 0);

	asm volatile("mov %0, %%cr4" : : "r"(cr4));
	want("CR4", cpu_cr4(), cr4);
}

_Noreturn void payload_main(struct vcpu *me)
{
	hypercall(ABI_READY, 0, 0, 0);
	if (me->index)
		guest_done(me, ABI_OK, 0);
	probe_init();
	lost.chain = chain_begin(me->seed, 0);
	look_at_registers();
	set_mce(true);
	set_mce(!(me->seed & LOST_NO_MCE));
	if (me->seed & LOST_OFF)
		cpu_wrmsr(MSR_MC0_CTL, 0);
	if (me->seed & LOST_DELIVERY)
		deliver(me);
	else
		for (unsigned int i = 0; i < PASSES; i++)
			pass(me);
	hypercall(ABI_PASS, lost.checks, lost.chain, 0);
	guest_done(me, lost.wrong ? ABI_WRONG_TRAP : ABI_OK, 0);
}
