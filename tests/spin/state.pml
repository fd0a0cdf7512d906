/* SPDX-License-Identifier: MIT */
/* Entries, tables, memory, and what is claimed of them. See protocol.pml. */

/* --- entries: as ept/entry.h, but smaller. A leaf of `level` maps SIZE(level) frames. --------- */

#define NONE    0
#define ABSENT  1
#define FILLING 2
#define POISON  3
#define FROZEN  4
#define PRESENT 5
#define TABLE   6
#define JUNK    7 /* what a freed table page is full of */

#define ACCESSED  128
#define DIRTY     256
#define REQUESTED 512
#define READONLY  1024
#define AD	  (ACCESSED | DIRTY)

#define ENTRY(kind, frame)  ((kind) | ((frame) << 3))
#define KIND(e)		    ((e) & 7)
#define FRAME(e)	    (((e) >> 3) & 15)
#define WITH_KIND(e, kind)  (((e) & ~7) | (kind))
#define PIECE(e, i, level)  ((e) + (((i) << ((level) - 1)) << 3)) /* of that level */

#define SIZE(level)	  (1 << ((level) - 1))
#define BASE(gfn, level)  (((gfn) >> ((level) - 1)) << ((level) - 1))
#define INDEX(gfn, level) ((level) == TOP -> 0 : ((gfn) >> ((level) - 1)) & 1)

/* TOP: the level of the root's one slot. 2: it covers two pages; 3: four. */
#define PAGES	SIZE(TOP)
#define GUEST_PAGES 2 /* that it touches */
#define ROOT	0
#define NTABLES 6
#define CPUS	3
#define GATHER_MAX TOP

/* --- tables ----------------------------------------------------------------------------------- */

#define FREE	0
#define LINKED	1
#define UNSEEN	2 /* made, not linked yet */
#define WAITING 3 /* unlinked; its flush is not over */

#define E(table, index) entry[2 * (table) + (index)]

short entry[2 * NTABLES];
byte present[NTABLES]; /* modulo 256, as the code's modulo 65536 */
bit lock[NTABLES];
bit dead[NTABLES];
byte use[NTABLES];

#define DOWN(e, gfn, level) (KIND(e) == TABLE -> E(FRAME(e), INDEX(gfn, level)) : (e))
#if TOP == 2
#define ENTRY_OF(gfn) DOWN(E(ROOT, 0), gfn, 1)
#else
#define ENTRY_OF(gfn) DOWN(DOWN(E(ROOT, 0), gfn, 2), gfn, 1)
#endif

/* --- memory: page n's frame is n, and n + 4 after a relocation -------------------------------- */

#define EMPTY	0
#define HALF	1 /* its contents are being written */
#define ARRIVED 2
#define WRITTEN 3 /* by the guest, since */

byte contents[8];

/* --- CPUs ------------------------------------------------------------------------------------- */

byte at[CPUS];	/* the table that its walk, by software or hardware, stands in; ROOT: none */
byte pwc[CPUS]; /* hardware's cached pointer to a table of the lowest level; ROOT: none */
#if TOP == 3
byte pwc2[CPUS]; /* the same, one level up */
#endif
byte pwc_gfn[CPUS];

#define slot(gfn) E(at[me], INDEX(gfn, s_level)) /* where it stands */

inline restart() {
	at[me] = ROOT;
	s_level = TOP
}

/* Between two functions a CPU holds no pointer, and what its variables hold is of no interest. */
inline stand_outside() {
	restart();
	s_entry = 0
}

/* struct tlb */
byte generation;
bit joined[CPUS];
byte seen[CPUS];
bit kick[CPUS]; /* a pending interrupt; CPU 2 alone may be in a guest */

byte over; /* actors that have finished */

/* --- the properties --------------------------------------------------------------------------- */

/* Always 0, and not stored: they give an assertion its name. Beside them: no deadlock (spin's own
 * "invalid end state"), and EVERY_ACTOR_FINISHES. */
hidden byte A_PAGE_IS_FILLED_ONCE;
hidden byte CONTENTS_COME_BEFORE_READERS;
hidden byte NO_LEAF_COVERS_WHAT_HAS_NOT_ARRIVED;
hidden byte PRESENT_STAYS_PRESENT_AND_THE_SAME; /* at each moment, and what is gone is gone */
hidden byte NO_FAULT_ON_WHAT_IS_PRESENT;	/* whatever way hardware takes */
hidden byte NO_TABLE_IS_FREED_UNDER_A_WALK;	/* by hardware, its caches, or software */
hidden byte NO_WALK_OF_JUNK;			/* freed, or not written yet */
hidden byte NO_ACCESSED_OR_DIRTY_BIT_IS_LOST;	/* at the end */
hidden byte NO_ACCESS_AFTER_THE_REPORT;		/* of unmap, poison, relocation, lost rights */
hidden byte NO_WRITE_OF_THE_GUEST_IS_LOST;	/* to a relocation, or a late copy */
hidden byte COUNTER_EQUALS_ENTRIES;		/* at the end */
hidden byte ONE_ARRIVAL_SEES_FULL;		/* if nothing is taken away */
hidden byte WHAT_IS_COMPLETE_COLLAPSES;		/* so its word is enough */
hidden byte NOTHING_IS_LEFT_BEHIND;		/* no lock, claim or table */

#define must(name, claim) assert(name || (claim))

/* What must be true, kept beside the tables. */
#define GONE 15
byte expect[4];	   /* the frame that maps a page; GONE: none does */
bit lost[4];	   /* reported unmapped or poisoned */
bit moved[4];	   /* reported relocated */
bit protected[4];  /* reported read-only */
bit accessed[4];   /* hardware must have said so in what maps the page */
bit dirty[4];
bit wrote[4];	   /* the guest's last write must be in what maps the page */
bit steady[CPUS];  /* the page was mapped all the time since this hardware walk began */
byte walked[CPUS]; /* that page */
byte full_seen;	   /* arrivals that were told that the table of pages 0 and 1 is complete */
bit disturbed;	   /* something went away: then "complete" may be said never, or twice */

hidden short x_e;
hidden byte x_g, x_level, x_frame;
hidden short x_n;

/* Atomically, as nobody can walk: the root's slot, and down. */
inline translate(page) {
	x_e = E(ROOT, 0);
	x_level = TOP;
	do
	:: KIND(x_e) == TABLE && x_level > 1 ->
		x_level--;
		x_e = E(FRAME(x_e), INDEX(page, x_level))
	:: else -> break
	od;
	x_frame = FRAME(x_e) + (page) - BASE(page, x_level)
}

/* Belongs to every step that changes a slot. */
inline check() {
	d_step {
		x_g = 0;
		do
		:: x_g < PAGES ->
			translate(x_g);
			if
			:: KIND(x_e) == PRESENT ->
				must(NO_LEAF_COVERS_WHAT_HAS_NOT_ARRIVED, contents[x_frame] >= ARRIVED);
				must(PRESENT_STAYS_PRESENT_AND_THE_SAME, expect[x_g] == x_frame)
			:: else -> must(PRESENT_STAYS_PRESENT_AND_THE_SAME, expect[x_g] == GONE)
			fi;
			x_g++
		:: else -> break
		od
	}
}

inline now_maps(page, level, frame) {
	d_step {
		x_n = 0;
		do
		:: x_n < SIZE(level) -> expect[BASE(page, level) + x_n] = (frame) + x_n; x_n++
		:: else -> break
		od
	}
}

/* It is taken away on purpose. */
inline now_gone(page, level) {
	d_step {
		x_n = 0;
		do
		:: x_n < SIZE(level) -> expect[BASE(page, level) + x_n] = GONE; x_n++
		:: else -> break
		od;
		x_n = 0;
		do
		:: x_n < CPUS ->
			if
			:: BASE(walked[x_n], level) == BASE(page, level) -> steady[x_n] = 0
			:: else
			fi;
			x_n++
		:: else -> break
		od;
		disturbed = 1
	}
}

/* When all have finished. */
inline check_end() {
	d_step {
		x_g = 0;
		do
		:: x_g < PAGES ->
			translate(x_g);
			must(NO_ACCESSED_OR_DIRTY_BIT_IS_LOST,
			     KIND(x_e) != PRESENT || !dirty[x_g] || x_e & DIRTY);
			must(NO_ACCESSED_OR_DIRTY_BIT_IS_LOST,
			     KIND(x_e) != PRESENT || !accessed[x_g] || x_e & ACCESSED);
			must(NO_WRITE_OF_THE_GUEST_IS_LOST,
			     !wrote[x_g] || KIND(x_e) != PRESENT || contents[x_frame] == WRITTEN);
			must(NOTHING_IS_LEFT_BEHIND, KIND(x_e) != FILLING && KIND(x_e) != FROZEN);
			x_g++
		:: else -> break
		od;
		x_g = 0;
		x_n = 1; /* tables that something points to; each is pointed to once */
		do
		:: x_g < NTABLES && use[x_g] != FREE ->
			must(NOTHING_IS_LEFT_BEHIND, use[x_g] == LINKED && !lock[x_g]);
			must(COUNTER_EQUALS_ENTRIES,
			     present[x_g] == (KIND(E(x_g, 0)) == PRESENT -> 1 : 0) +
				     (KIND(E(x_g, 1)) == PRESENT -> 1 : 0));
			x_n = x_n + (KIND(E(x_g, 0)) == TABLE -> 1 : 0) +
			      (KIND(E(x_g, 1)) == TABLE -> 1 : 0) - 1;
			x_g++
		:: x_g < NTABLES && use[x_g] == FREE -> x_g++
		:: else -> break
		od;
		must(NOTHING_IS_LEFT_BEHIND, x_n == 0);
		must(ONE_ARRIVAL_SEES_FULL, disturbed || full_seen == FULL_EXPECTED);
		must(WHAT_IS_COMPLETE_COLLAPSES, disturbed || !COLLAPSED || KIND(E(ROOT, 0)) == PRESENT)
	}
}
