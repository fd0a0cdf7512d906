/* SPDX-License-Identifier: MIT */
/* Printing a vCPU. See hv/cpu/vcpu_dump.h. */
#include "hv/cpu/vcpu_dump.h"

#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/cpu/vm.h"
#include "mm/percpu.h"

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

void print_vcpu(const struct vcpu *vcpu)
{
	const struct vcpu_exit *exit = &vcpu->last_exit;
	const uint64_t *r = vcpu->state.gpr;

	con_printf(
		"cleave: vm %s vcpu %u: exit %d (hardware's number 0x%llx), gpa 0x%llx, access %u\n",
		vcpu->vm->name, vcpu->index, exit->reason, (unsigned long long)exit->code,
		(unsigned long long)exit->gpa.v, exit->access);
	for (unsigned int i = 0; i < GPRS; i += 4)
		con_printf("cleave:   r%-2u %016llx %016llx %016llx %016llx\n", i,
			   (unsigned long long)r[i], (unsigned long long)r[i + 1],
			   (unsigned long long)r[i + 2], (unsigned long long)r[i + 3]);
	print_walk(&vcpu->mem->ept, exit->gpa);
}

_Noreturn void panic_vcpu(const struct vcpu *vcpu, const char *why)
{
	panic_begin();
	con_printf("cleave: PANIC on cpu%u: %s\n", cpu_id(), why);
	print_vcpu(vcpu);
	vendor->dump();
	panic_end();
}
