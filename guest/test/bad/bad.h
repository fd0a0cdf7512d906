/* SPDX-License-Identifier: MIT */
/* The evils of the payload `bad` that ask the CPU or the hypervisor something. Each returns true if
 * all answers were right, and says on the console which was not. */
#ifndef GUEST_BAD_H
#define GUEST_BAD_H

#include "guest/lib/guest.h"

#define REGISTERS 15 /* rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 .. r15 */

enum {
	REGISTER_RAX = 0,
	REGISTER_RDI = 5
};

/* A hypercall with these values in the registers; they are replaced by those after it. */
void registers_call(uint64_t registers[REGISTERS]);

bool bad_msr(struct vcpu *me);        /* MSRs that do not exist; CPUID */
bool bad_vmx(struct vcpu *me);        /* a hypervisor's instructions, where the CPU shows none */
bool bad_ports(struct vcpu *me);      /* ports where nothing is */
bool bad_hypercalls(struct vcpu *me); /* numbers and arguments that make no sense */
bool bad_registers(struct vcpu *me);  /* what an exit may not change */
bool bad_control(struct vcpu *me);    /* illegal values for control registers and EFER */
bool bad_paging(struct vcpu *me);     /* CR0.PG without CR0.PE */
bool bad_exceptions(struct vcpu *me); /* of its own making, which concern nobody else */

/* guest/test/bad/sweeps.c */
bool bad_all_msrs(struct vcpu *me);
bool bad_all_ports(struct vcpu *me);
bool bad_all_leaves(struct vcpu *me);   /* of CPUID */
bool bad_instructions(struct vcpu *me); /* of hypervisors, of both makers */

/* guest/test/bad/storms.c. Those that return false are not expected to come so far. */
bool bad_wild_tib(struct vcpu *me); /* reads at 1 TiB, */
bool bad_wild_top(struct vcpu *me); /* at the end of all addresses, */
bool bad_wild_tables(struct vcpu *me);
bool bad_wild_gates(struct vcpu *me);
bool bad_wild_stack(struct vcpu *me);
bool bad_absent_stack(struct vcpu *me);
bool bad_fault_storm(struct vcpu *me);
bool bad_debug_storm(struct vcpu *me);
bool bad_watched_stack(struct vcpu *me);
bool bad_endless_debug(struct vcpu *me);
bool bad_far(struct vcpu *me); /* task switches, far calls */

/* guest/test/bad/user.c */
bool bad_user_calls(struct vcpu *me);             /* the hypervisor's, from CPL 3 and 32-bit code */
bool bad_alignment_storm(struct vcpu *me);        /* at CPL 3 */
bool bad_legacy_alignment_storm(struct vcpu *me); /* in the push of #AC itself */

/* guest/test/bad/debug.c */
bool bad_steps(struct vcpu *me);       /* over instructions that exit */
bool bad_breakpoints(struct vcpu *me); /* behind them; INT1; DR7.GD */

/* guest/test/bad/leaks.c */
bool bad_plant(struct vcpu *me); /* values in registers, */
bool bad_find(struct vcpu *me);  /* which another VM must not find */

/* Whether this machine is lax here: guest/test/bad/lax.h. */
bool is_lax(const struct vcpu *me, uint64_t bit);

#endif
