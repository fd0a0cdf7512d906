/* SPDX-License-Identifier: MIT */
/*
 * A model of the second stage's protocol (ept/ept.h, hv/mem/tlb.h), to be searched in all orders:
 * tests/spin/run. Three actors run short scripts (scenarios.pml). Tables have two entries, there
 * are two or three levels, and as many table pages as can be in use at once; a freed page is junk,
 * and the next table takes it.
 *
 *	state.pml	entries, tables, memory; the properties
 *	tlb.pml		generations and acknowledgements; hardware's walk, its caches, a vCPU
 *	ept.pml		split, arrival, collapse, gather
 *	change.pml	poison, unmap, and what goes through FROZEN
 *	scripts.pml	what actors do; scenarios.pml: who does what
 *
 * HOW FINE IT IS
 *
 * Each atomic step has one access to what others change at any time: a slot, a counter, a lock,
 * a generation. Merged with it is what commutes with all that others do: writing a page that
 * nobody has seen, `dead` (read and written under the table's lock alone), taking a lock with
 * the first look under it, letting go with the last change. Memory is sequentially consistent:
 * weaker orders are for test_ept_race_tsan. Loops that wait are guards that block, so a wait in
 * a circle is a deadlock, "invalid end state"; LIVENESS finds loops that turn for ever.
 *
 *	model				code
 *	slot_find			ept/tree/slot.h slot_find(); also ept/tree/walk.c, for vcpu_wait_over()
 *	slot_lock			ept/tree/slot.h slot_lock(); table.h table_lock(), table_dead()
 *	table_make, table_free		ept/tree/table.c table_make(); ops->table_free()
 *	split_absent			ept/path/split.c split_absent(), fill_table(); table_discard()
 *	split_present, link_pieces	the same
 *	ept_split			the same; -EBUSY is taken for "look again later"
 *	ept_request			ept/path/arrive.c ept_request(), find_absent()
 *	ept_fill			ept/path/arrive.c ept_fill(), fill_slowly(), try_claim()
 *	ept_publish			ept/path/arrive.c ept_publish(): publish_entry, count_arrival
 *	ept_give_up			ept/path/arrive.c ept_give_up()
 *	collapse_slot, merge, replace	ept/path/collapse.c collapse_slot(), collapse_locked(), the same
 *	ept_collapse			ept/path/collapse.c ept_collapse(), without collapse_below()
 *	gather_table, harvest, add_ad	ept/tree/gather.c
 *	ept_sync			ept/tree/gather.c; a gather is never full
 *	ept_poison			ept/ops/poison.c ept_poison(), poison_slot()
 *	hide_present			ept/tree/slot.c slot_hide()
 *	clear_slots, clear_present	ept/ops/map.c clear_slot(), ept/ops/each.c change_each()
 *	drop_tables, drop_locked	ept/ops/map.c drop_tables(), drop_table()
 *	relocate, publish_frozen	ept/ops/relocate.c ept_freeze(), ept_thaw(), with the copy between
 *	collapse_protected		ept/path/collapse.c replace() with `freeze`, ept/tree/gather.c thaw()
 *	tlb_quiesce, tlb_flush, tlb_join	hv/mem/tlb.c; cpu_kick: hv/base/smp.c
 *	vcpu, enter, fault		hv/cpu/vcpu.c vcpu_run(), hv/vm/run.c turn_of(), vcpu_wait_over()
 *	access, walk_entry, touch	the CPU
 *
 * Not in it: ept_map(), ept_move() and cloning while others are in the range, dirty tracking, a full
 * gather, -ENOMEM, memory types.
 */
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
