/* SPDX-License-Identifier: MIT */
/* Printing a vCPU. See hv/cpu/vcpu_dump.h. */
#include "hv/cpu/vcpu_dump.h"

#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/cpu/vm.h"
#include "mm/percpu.h"

typedef unsigned long long ull;

void print_walk(const struct ept *ept, gpa_t at)
{
	uint64_t path[PG_LEVEL_MAX];

	ept_path(ept, gpa_to_gfn(at), path);
	for (enum pg_level level = ept->fmt->top; level >= PG_LEVEL_4K; level--) {
		struct ept_state s = entry_decode(ept->fmt, path[level], level);

		con_printf("cleave:   level %d: %016llx %s frame 0x%llx perms %u%s%s%s\n", level,
			   (unsigned long long)path[level], entry_kind_name(s.kind),
			   (unsigned long long)s.frame.v, s.perms, s.accessed ? " accessed" : "",
			   s.dirty ? " dirty" : "", s.requested ? " requested" : "");
		if (s.kind != EPT_TABLE)
			break;
	}
}

static void print_registers(const struct guest_state *s)
{
	static const char *const names[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						 "rsi", "rdi", "r8",  "r9",  "r10", "r11",
						 "r12", "r13", "r14", "r15" };

	con_printf("cleave:   rip %016llx rflags %08llx\n", (ull)s->rip, (ull)s->rflags);
	for (unsigned int i = 0; i < GPRS; i += 4)
		con_printf("cleave:   %-3s %016llx %-3s %016llx %-3s %016llx %-3s %016llx\n",
			   names[i], (ull)s->gpr[i], names[i + 1], (ull)s->gpr[i + 1], names[i + 2],
			   (ull)s->gpr[i + 2], names[i + 3], (ull)s->gpr[i + 3]);
	con_printf("cleave:   cr0 %llx cr2 %llx cr3 %llx cr4 %llx cr8 %llx efer %llx dr6 %llx dr7 "
		   "%llx\n",
		   (ull)s->cr0, (ull)s->cr2, (ull)s->cr3, (ull)s->cr4, (ull)s->cr8, (ull)s->efer,
		   (ull)s->dr6, (ull)s->dr7);
}

static void print_segments(const struct guest_state *s)
{
	static const char *const names[SEGMENTS] = { "es", "cs", "ss",   "ds",
						     "fs", "gs", "ldtr", "tr" };

	for (unsigned int i = 0; i < SEGMENTS; i++)
		con_printf("cleave:   %-4s %04x base %llx limit %x attributes %x\n", names[i],
			   s->seg[i].selector, (ull)s->seg[i].base, s->seg[i].limit,
			   s->seg[i].attributes);
	con_printf("cleave:   gdt base %llx limit %x, idt base %llx limit %x\n", (ull)s->gdt_base,
		   s->gdt_limit, (ull)s->idt_base, s->idt_limit);
}

void print_vcpu(const struct vcpu *vcpu, const struct guest_state *state)
{
	const struct vcpu_exit *exit = &vcpu->last_exit;

	con_printf(
		"cleave: vm %s vcpu %u: exit %d (hardware's number 0x%llx), gpa 0x%llx, access %u\n",
		vcpu->vm->name, vcpu->index, exit->reason, (ull)exit->code, (ull)exit->gpa.v,
		exit->access);
	print_registers(state);
	print_segments(state);
	print_walk(&vcpu->mem->ept, exit->gpa);
}

_Noreturn void panic_vcpu(const struct vcpu *vcpu, const char *why)
{
	static struct guest_state state;

	panic_begin();
	con_printf("cleave: PANIC on cpu%u: %s\n", cpu_id(), why);
	vendor->peek(vcpu, &state);
	print_vcpu(vcpu, &state);
	vendor->dump();
	panic_end();
}
