/* SPDX-License-Identifier: MIT */
/*
 * What a guest may write to CR0, CR4, EFER and PAT: bits that it is told of by emulate_cpuid(), and
 * combinations that the architecture allows. Whatever the CPU itself lets pass beyond that would
 * switch on state that Cleave does not switch with the vCPU. Pure.
 */
#ifndef HV_CONTROL_H
#define HV_CONTROL_H

#include "mm/types.h"

/* As the guest sees them. */
struct control {
	uint64_t cr0, cr4, efer;
	bool code_64; /* CS.L */
};

/* Each returns false for #GP, and changes nothing then. EFER.LMA follows paging (SDM vol. 3A,
 * "Initializing IA-32e Mode"; APM vol. 2, "Activating Long Mode"). */
bool must_check control_set_cr0(struct control *c, uint64_t value);
bool must_check control_set_cr4(struct control *c, uint64_t value);
bool must_check control_set_efer(struct control *c, uint64_t value);

/* Is each of the eight types one that exists? */
bool must_check control_pat_valid(uint64_t value);

#endif
