/* SPDX-License-Identifier: MIT */
/* Code at CPL 3 and in compatibility mode: see guest/test/bad/user.h; and the evils that need it.
 */
#include "guest/test/bad/bad.h"
#include "guest/test/bad/user.h"

#include "guest/lib/cpu.h"
#include "guest/lib/line.h"
#include "guest/lib/probe.h"
#include "guest/lib/window.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

#define RFLAGS_ONE (UINT64_C(1) << 1)
#define RFLAGS_IF  (UINT64_C(1) << 9)
#define RFLAGS_AC  (UINT64_C(1) << 18)
#define CR0_AM     (UINT64_C(1) << 18)

#define TSS_SELECTOR 0x28
/* Their places, in words from byte 4 on. */
#define TSS_RSP0 0
#define TSS_IST1 4

void user_leave(const struct user_state *to); /* guest/test/bad/leave.asm */
void user_back(void);
void legacy_alignment_storm(void); /* guest/test/bad/legacy.asm */

static struct {
	uint32_t unused;
	uint64_t words[12];
	uint32_t io_map;
} __attribute__((packed)) tss;

static uint64_t stack[512] __attribute__((aligned(16)));

static struct user_end end;

uint64_t *user_init(void)
{
	static uint64_t gdt[] = {
		0,
		0x00af9b000000ffff, /* GUEST_CS */
		0x00cf93000000ffff, /* GUEST_DS */
		0x00cff3000000ffff, /* USER_DS */
		0x00affb000000ffff, /* USER_CS */
		0x0000890000000067, /* TSS, 16 bytes */
		0,
		0x00cf9b000000ffff, /* CS_32 */
		0x00cffb000000ffff, /* guest/test/bad/legacy.asm's: code and data at CPL 3 */
		0x00cff3000000ffff,
	};
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = { sizeof(gdt) - 1, (uintptr_t)gdt };
	uint64_t at = (uintptr_t)&tss;

	tss.words[TSS_RSP0] = tss.words[TSS_IST1] = (uintptr_t)(stack + COUNT(stack));
	gdt[5] = UINT64_C(0x0000890000000067) | (at & 0xffffff) << 16 | (at >> 24 & 0xff) << 56;
	asm volatile("lgdt %0\n\tltr %w1" : : "m"(gdtr), "r"(TSS_SELECTOR) : "memory");
	return stack + COUNT(stack);
}

static bool came_back(struct trap_frame *frame)
{
	if (frame->cs == GUEST_CS)
		return false;
	end = (struct user_end){ frame->vector, frame->error, frame->rip, frame->rax };
	frame->cs = GUEST_CS;
	frame->ss = GUEST_DS;
	frame->rip = (uintptr_t)user_back;
	frame->rsp = (uintptr_t)(stack + COUNT(stack)); /* user_back() has its own */
	frame->rflags = RFLAGS_ONE | RFLAGS_IF;
	return true;
}

struct user_end user_run(const struct user_state *from)
{
	for (unsigned int i = 0; i < TRAP_VECTORS; i++)
		trap_hook[i] = came_back;
	user_leave(from);
	probe_init();
	return end;
}

/* --- calls ---------------------------------------------------------------------------------- */

#define VICTIM_PAGE 65 /* of the work area: user space gives it up, and it stays */
#define VICTIM_WORD UINT64_C(0x5ec2e75ec2e75ec2)

static const struct {
	const char *name;
	uint64_t rax, rdi, rsi, rdx;
} calls[] = {
	{ "PARAM", ABI_PARAM, ABI_P_REGION, 0, 0 },
	{ "PUTS", ABI_PUTS, GUEST_LOAD, 8, 0 },
	{ "WRONG", ABI_WRONG, 1, 2, 3 },
	{ "DONE", ABI_DONE, ABI_WRONG_DATA, 0, 0 },
	{ "DISCARD", ABI_DISCARD, 0, PAGE_BYTES, 0 },
	{ "no call", 99, 0, 0, 0 },
};

/* #UD at the instruction, and nothing came back. */
static bool call_refused(const char *where, unsigned int i, const struct user_state *from)
{
	struct user_end e = user_run(from);

	if (e.vector == TRAP_UD && e.rip == from->rip && e.rax == from->rax)
		return true;
	print_text(where);
	probe_equal(calls[i].name, e.vector, TRAP_UD);
	probe_equal("its RIP", e.rip, from->rip);
	return probe_equal("its RAX", e.rax, from->rax);
}

bool bad_user_calls(struct vcpu *me)
{
	uint64_t victim = me->first + VICTIM_PAGE * PAGE_BYTES;
	uint8_t *code = window_at(me->first);
	uint64_t compatible = hypercall_by_vmmcall ? (uintptr_t)compatible_vmmcall
						   : (uintptr_t)compatible_vmcall;
	const uint8_t call[] = { 0x0f, 0x01, hypercall_by_vmmcall ? 0xd9 : 0xc1, 0x0f, 0x0b };
	bool all = true;

	(void)user_init();
	for (unsigned int i = 0; i < sizeof(call); i++)
		code[i] = call[i];
	*page_at(victim) = VICTIM_WORD;
	for (unsigned int i = 0; i < COUNT(calls); i++) {
		struct user_state s = {
			.rax = calls[i].rax,
			.rdi = calls[i].rax == ABI_DISCARD ? victim : calls[i].rdi,
			.rsi = calls[i].rsi,
			.rdx = calls[i].rdx,
			.ss = USER_DS,
			.rsp = (uintptr_t)code + PAGE_BYTES,
			.rflags = RFLAGS_ONE | RFLAGS_IF,
			.cs = USER_CS,
			.rip = (uintptr_t)code,
		};

		all = call_refused("from CPL 3", i, &s) && all;
		s.ss = GUEST_DS;
		s.cs = CS_32;
		s.rip = compatible;
		s.rsp = (uintptr_t)(stack + COUNT(stack) / 2);
		all = call_refused("in compatibility mode", i, &s) && all;
	}
	all = probe_equal("a page that only user space gave up", *page_at(victim), VICTIM_WORD) &&
	      all;
	return probe_equal("the kernel's own call", param(ABI_P_REGION), me->region) && all;
}

/* --- alignment ------------------------------------------------------------------------------ */

static bool go_on(struct trap_frame *frame)
{
	(void)frame;
	return true;
}

bool bad_alignment_storm(struct vcpu *me)
{
	static const uint8_t load[] = { 0x48, 0x8b, 0x04, 0x24, 0x0f, 0x0b }; /* mov (%rsp), %rax */
	uint8_t *code = window_at(me->first);
	struct user_state s = {
		.ss = USER_DS,
		.rsp = (uintptr_t)code + PAGE_BYTES - 15,
		.rflags = RFLAGS_ONE | RFLAGS_IF | RFLAGS_AC,
		.cs = USER_CS,
		.rip = (uintptr_t)code,
	};
	struct user_end e;

	(void)user_init();
	for (unsigned int i = 0; i < sizeof(load); i++)
		code[i] = load[i];
	asm volatile("mov %0, %%cr0" : : "r"(cpu_cr0() | CR0_AM) : "memory");
	e = user_run(&s);
	if (e.vector != TRAP_UD && (!probe_equal("a misaligned load at CPL 3", e.vector, TRAP_AC) ||
				    !probe_equal("its error code", e.error, 0)))
		return false;
	/* QEMU checks no alignment: there the UD2 behind the load raises #UD instead. */
	print_text(e.vector == TRAP_AC ? "bad: #AC for ever" : "bad: #UD for ever");
	trap_hook[e.vector] = go_on;
	user_leave(&s);
	return false;
}

bool bad_legacy_alignment_storm(struct vcpu *me)
{
	const struct user_state s = {
		.ss = GUEST_DS,
		.rsp = (uintptr_t)user_init() - sizeof(stack) / 2,
		.rflags = RFLAGS_ONE | RFLAGS_IF,
		.cs = CS_32,
		.rip = (uintptr_t)legacy_alignment_storm,
	};

	(void)me;
	print_text("bad: #AC where #AC is pushed");
	user_leave(&s);
	return false;
}
