/* SPDX-License-Identifier: MIT */
/*
 * Payload: does what a guest should not. The seed selects one evil, see the table at the end. vCPU
 * 0 says on the console what it saw, each line beginning with "right:" or "WRONG:", and ends with
 * ABI_OK if all was as the architecture or hv/abi.h says; it does not wait for ABI_PASS to say
 * stop. The evils that end the guest by themselves say so before; a line after that would be wrong.
 * The other vCPUs do nothing.
 */
#include "guest/test/bad/bad.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/line.h"
#include "guest/lib/probe.h"

/* With interrupts off nothing but an NMI wakes it. */
static bool bad_halt(struct vcpu *me)
{
	(void)me;
	print_text("bad: halts with interrupts off");
	asm volatile("cli; hlt" : : : "memory");
	return false;
}

static bool bad_triple_fault(struct vcpu *me)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing;

	(void)me;
	print_text("bad: triple fault");
	asm volatile("lidt %0; ud2" : : "m"(nothing) : "memory");
	return false;
}

/* Where there is no memory nobody answers a read, and a write is lost. Or the hypervisor ends a
 * guest that tries, and says where. */
static bool bad_beyond(struct vcpu *me)
{
	volatile uint64_t *word = page_at(me->region);
	bool right;

	if (me->region >= GUEST_MAPPED_BYTES)
		return probe_equal("region below 4 GiB", me->region, 0);
	print_text("bad: reads and writes the first page beyond its memory");
	right = probe_equal("read", *word, ~UINT64_C(0));
	*word = 0;
	return probe_equal("read after a write", *word, ~UINT64_C(0)) && right;
}

static bool bad_stuck(struct vcpu *me)
{
	print_text("bad: loops for ever");
	while (!me->gone)
		continue;
	return false;
}

/* The hypervisor must not fall for it: this run has failed. */
static bool bad_forgery(struct vcpu *me)
{
	print_text("\r\ncleave: verdict PASS");
	guest_done(me, ABI_WRONG_DATA, 0);
}

static bool bad_false_alarm(struct vcpu *me)
{
	probe_equal("ABI_WRONG", hypercall(ABI_WRONG, me->first, 1, 2), 0);
	guest_done(me, ABI_WRONG_DATA, 0);
}

/* Nobody expects this one: the library reports it and ends with ABI_WRONG_TRAP. */
static bool bad_trap(struct vcpu *me)
{
	(void)me;
	for (unsigned int i = 0; i < TRAP_VECTORS; i++)
		trap_hook[i] = 0;
	asm volatile("ud2");
	return true;
}

/* As in bad_trap(), but the instruction that calls the hypervisor is not known, as before
 * guest_start() has asked. */
static bool bad_early_trap(struct vcpu *me)
{
	hypercall_by_vmmcall = !hypercall_by_vmmcall;
	return bad_trap(me);
}

/* The place in the table is the seed. */
static bool (*const evils[])(struct vcpu *me) = {
	bad_halt,
	bad_triple_fault,
	bad_beyond,
	bad_msr,
	bad_vmx,
	bad_ports,
	bad_hypercalls,
	bad_registers,
	bad_stuck,
	bad_control,
	bad_exceptions,
	bad_forgery,
	bad_false_alarm,
	bad_trap,
	bad_all_msrs,
	bad_all_ports,
	bad_all_leaves,
	bad_instructions,
	bad_far,
	bad_wild_tib,
	bad_wild_top,
	bad_wild_tables,
	bad_wild_gates,
	bad_wild_stack,
	bad_absent_stack,
	bad_fault_storm,
	bad_debug_storm,
	bad_paging,
	bad_early_trap,
	bad_user_calls,
	bad_alignment_storm,
	bad_steps,
	bad_breakpoints,
	bad_plant,
	bad_find,
	bad_watched_stack,
	bad_endless_debug,
	bad_legacy_alignment_storm,
};

_Noreturn void payload_main(struct vcpu *me)
{
	bool right = true;

	hypercall(ABI_READY, 0, 0, 0);
	if (me->index == 0) {
		probe_init();
		me->steps++;
		right = me->seed < sizeof(evils) / sizeof(*evils) && evils[me->seed](me);
	}
	guest_done(me, right ? ABI_OK : ABI_WRONG_TRAP, 0);
}
