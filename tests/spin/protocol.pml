/* SPDX-License-Identifier: MIT */
#include "scenarios.pml"
#include "state.pml"
#include "tlb.pml"
#include "ept.pml"
#include "change.pml"
#include "scripts.pml"

proctype cpu(byte me) {
	byte gfn, page, last, s_level, child, c_level;
	short s_entry, leaf, ad;
	bit locked, claimed, complete, parent_full, err, reporting;
	byte now, raised;
	/* struct ept_gather */
	bit g_owed;
	byte g_n, g_table[GATHER_MAX], g_gfn[GATHER_MAX], g_level[GATHER_MAX];
	short g_seen[GATHER_MAX];
	bit g_harvest[GATHER_MAX];
	/* the vCPU and what its hardware remembers */
	byte w_gfn, left, result, tlb_gfn, tlb_level;
	bit w_write;
	short tlb;

	s_level = TOP;
	if
	:: me == 0 -> ACTOR0
	:: me == 1 -> ACTOR1
	:: me == 2 -> ACTOR2
	fi;
	d_step {
		gfn = 0; page = 0; err = 0; tlb = 0; tlb_gfn = 0; tlb_level = 0; w_gfn = 0; w_write = 0;
		pwc[me] = ROOT;
#if TOP == 3
		pwc2[me] = ROOT;
#endif
		pwc_gfn[me] = 0
	};
	atomic {
		joined[me] = 0;
		over++;
		if
		:: over == CPUS -> check_end()
		:: else
		fi
	}
}

init {
	d_step {
		walked[0] = GONE; walked[1] = GONE; walked[2] = GONE;
		BEGIN
	};
	check();
	atomic { run cpu(0); run cpu(1); run cpu(2) }
}

#ifdef LIVENESS
/* Under weak fairness every actor finishes. */
ltl EVERY_ACTOR_FINISHES { <> (over == CPUS) }
#endif
