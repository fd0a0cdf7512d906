/* SPDX-License-Identifier: MIT */
/* Counting exits. See hv/vm/exits.h. */
#include "hv/vm/exits.h"

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void exits_of(const struct vm *vm, struct exits *exits)
{
	*exits = (struct exits){ 0 };
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		const struct vcpu_stats *s = &vm->vcpu[i].stats;

		for (unsigned int r = 0; r < EXIT_REASONS; r++)
			exits->by[r] += get(&s->by[r]);
		exits->all += vcpu_exits(&vm->vcpu[i]);
		exits->interrupts += get(&s->interrupts);
	}
}

const char *exit_name(enum exit_reason reason)
{
	static const char *const names[EXIT_REASONS] = {
		[EXIT_STAGE2] = "stage2",  [EXIT_MISCONFIG] = "misconfig",
		[EXIT_CPUID] = "cpuid",    [EXIT_RDMSR] = "rdmsr",
		[EXIT_WRMSR] = "wrmsr",    [EXIT_GP] = "bad_operand",
		[EXIT_IO] = "io",          [EXIT_HLT] = "hlt",
		[EXIT_CALL] = "hypercall", [EXIT_TRIPLE] = "triple_fault",
		[EXIT_KICK] = "interrupt", [EXIT_SLICE] = "timer",
		[EXIT_LOG] = "log_full",   [EXIT_UD] = "no_instruction",
		[EXIT_RETRY] = "other",    [EXIT_STORM] = "storm",
		[EXIT_BROKEN] = "broken",  [EXIT_WINDOW] = "window",
		[EXIT_XSETBV] = "xsetbv",
	};

	return names[reason];
}
