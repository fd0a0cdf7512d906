/* SPDX-License-Identifier: MIT */
/*
 * What a guest may write to CR0, CR4, EFER and PAT: bits that emulate_cpuid() tells it of, in
 * combinations that the architecture allows. Other bits that the CPU accepts would switch on state
 * that Cleave does not switch with the vCPU. Pure.
 */
#ifndef HV_CONTROL_H
#define HV_CONTROL_H

#include "mm/types.h"

/* As the guest sees them. */
struct control {
	uint64_t cr0, cr4, efer;
	bool code_64; /* CS.L */
	bool xsave;   /* the guest is told of XSAVE: CR4 takes OSXSAVE */
};

/* False: raise #GP; nothing was changed. EFER.LMA follows paging (SDM vol. 3A, "Initializing
 * IA-32e Mode"; APM vol. 2, "Activating Long Mode"). */
bool must_check control_set_cr0(struct control *c, uint64_t value);
bool must_check control_set_cr4(struct control *c, uint64_t value);
bool must_check control_set_efer(struct control *c, uint64_t value);

/* Do all eight memory types exist? */
bool must_check control_pat_valid(uint64_t value);

#endif
