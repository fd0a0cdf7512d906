/* SPDX-License-Identifier: MIT */
/* ept/: arrival, split, collapse, gather. See protocol.pml. */

/* Waits for the end of an exclusive change, outside of the second stage. */
inline look_again_later() {
	atomic { stand_outside() };
	do
	:: atomic { KIND(ENTRY_OF(gfn)) != FROZEN -> break }
#ifndef SPIN_INSIDE_ON_FROZEN
	:: generation != seen[me] -> tlb_quiesce()
#endif
	od
}

/* Waits for who fills this slot; he waits for nobody. */
#define wait_inside() atomic { slot(gfn) != s_entry -> restart() }

inline slot_find(target) {
	do
	:: atomic {
		must(NO_WALK_OF_JUNK, use[at[me]] == LINKED || use[at[me]] == WAITING);
		s_entry = slot(gfn);
		must(NO_WALK_OF_JUNK, KIND(s_entry) != JUNK);
		if
		:: s_level > target && KIND(s_entry) == TABLE ->
			at[me] = FRAME(s_entry);
			s_level--
		:: else -> break
		fi
	   }
#ifdef ACK_INSIDE_A_WALK
	   ; tlb_quiesce()
#endif
	od
}

/* Taking a lock commutes with what others do before the first look under it, and so does letting
 * go with what they do after the last change: each is one step with its neighbour. */
inline slot_lock(kind) {
	atomic {
		lock[at[me]] == 0 ->
#ifndef NO_SECOND_LOOK_UNDER_THE_LOCK
		s_entry = slot(gfn);
#endif
		if
#ifdef NO_DEAD_CHECK
		:: KIND(s_entry) != kind
#else
		:: dead[at[me]] || KIND(s_entry) != kind
#endif
		   -> locked = 0; restart()
		:: else -> locked = 1; lock[at[me]] = 1
		fi
	}
}

/* --- table.c ---------------------------------------------------------------------------------- */

/* Whoever frees or uses too early is found here, and in each look at a table. */
inline table_free(which) {
	must(NO_TABLE_IS_FREED_UNDER_A_WALK, at[0] != which && at[1] != which && at[2] != which);
	must(NO_TABLE_IS_FREED_UNDER_A_WALK, pwc[0] != which && pwc[1] != which && pwc[2] != which);
#if TOP == 3
	must(NO_TABLE_IS_FREED_UNDER_A_WALK,
	     pwc2[0] != which && pwc2[1] != which && pwc2[2] != which);
#endif
	use[which] = FREE;
	E(which, 0) = JUNK;
	E(which, 1) = JUNK;
	present[which] = 0;
	lock[which] = 0;
	dead[which] = 0
}

/* The lowest free page; ROOT if there is none. */
inline table_make() {
	child = 1;
	do
	:: child < NTABLES && use[child] != FREE -> child++
	:: child < NTABLES && use[child] == FREE -> use[child] = UNSEEN; break
	:: child == NTABLES -> child = ROOT; break
	od
}

/* --- split.c ---------------------------------------------------------------------------------- */

inline fill_table() {
	E(child, 0) = s_entry;
	E(child, 1) = PIECE(s_entry, 1, s_level - 1)
}

/* What is done to a page that nobody else can see is one step with the swap that links it; a table
 * made in vain leaves no trace. */
inline split_absent() {
	atomic {
		if
		:: slot(gfn) == s_entry ->
			table_make();
			if
			:: child == ROOT -> err = 1; stand_outside()
			:: else ->
				use[child] = LINKED;
#ifndef LINK_BEFORE_THE_ENTRIES
				fill_table();
#endif
				slot(gfn) = ENTRY(TABLE, child);
				check();
#ifndef LINK_BEFORE_THE_ENTRIES
				child = ROOT;
				restart()
#endif
			fi
		:: else -> restart()
		fi
	}
#ifdef LINK_BEFORE_THE_ENTRIES
	; atomic {
		if
		:: child != ROOT -> fill_table(); child = ROOT; restart()
		:: else
		fi
	}
#endif
}

inline link_pieces() {
	do
	:: atomic {
		if
#ifdef PRESENT_SPLIT_BY_A_PLAIN_STORE
		:: true ->
#else
		:: slot(gfn) == s_entry ->
#endif
			use[child] = LINKED;
			present[child] = 2;
			fill_table();
			slot(gfn) = ENTRY(TABLE, child);
			check();
			break
		:: else -> s_entry = slot(gfn)
		fi
	   }
	od
}

inline split_present() {
	slot_lock(PRESENT);
	if
	:: atomic { !locked }
	:: atomic { locked -> locked = 0; table_make() };
	   if
	   :: atomic { child == ROOT -> err = 1; lock[at[me]] = 0; stand_outside() }
	   :: atomic { child != ROOT };
	      link_pieces();
	      atomic { present[at[me]]--; lock[at[me]] = 0; child = ROOT; g_owed = 1; restart() }
	   fi
	fi
}

/* Ends where no larger entry than of `level` maps gfn, or nothing does. */
inline ept_split(level) {
	do
	:: slot_find(level);
	   if
	   :: atomic { KIND(s_entry) == FROZEN }; look_again_later()
	   :: atomic { s_level == level && KIND(s_entry) != FROZEN -> stand_outside(); break }
	   :: atomic { s_level > level && (KIND(s_entry) == NONE || KIND(s_entry) == POISON) ->
		stand_outside(); break }
	   :: atomic { s_level > level && KIND(s_entry) == FILLING }; wait_inside()
	   :: atomic { s_level > level && KIND(s_entry) == ABSENT }; split_absent()
	   :: atomic { s_level > level && KIND(s_entry) == PRESENT }; split_present()
	   fi;
	   if
	   :: atomic { err -> break }
	   :: atomic { !err }
	   fi
	od
}

/* --- arrive.c --------------------------------------------------------------------------------- */

inline ept_request() {
	gfn = page;
	do
	:: slot_find(1);
	   if
	   :: atomic { KIND(s_entry) == ABSENT && s_level > 1 }; split_absent();
	      if
	      :: atomic { err -> err = 0; break }
	      :: atomic { !err }
	      fi
	   :: atomic { KIND(s_entry) == ABSENT && s_level == 1 ->
		if
#ifdef REQUEST_BY_A_PLAIN_STORE
		:: true ->
#else
		:: slot(gfn) == s_entry ->
#endif
			slot(gfn) = s_entry | REQUESTED; check(); stand_outside(); break
		:: else -> restart()
		fi }
	   :: atomic { KIND(s_entry) != ABSENT -> stand_outside(); break }
	   fi
	od
}

/* claimed: the slot is ours. */
inline ept_fill(level) {
	do
	:: slot_find(level);
	   if
	   :: atomic { KIND(s_entry) == ABSENT && s_level > level }; split_absent();
	      if
	      :: atomic { err -> err = 0; break }
	      :: atomic { !err }
	      fi
	   :: atomic { KIND(s_entry) == ABSENT && s_level == level ->
		if
#ifdef FILL_BY_A_PLAIN_STORE
		:: true ->
#else
		:: slot(gfn) == s_entry ->
#endif
			slot(gfn) = WITH_KIND(s_entry, FILLING);
			claimed = 1;
			check();
			break
		:: else -> restart()
		fi }
	   :: atomic { KIND(s_entry) == FROZEN }; look_again_later()
	   :: atomic { KIND(s_entry) != ABSENT && KIND(s_entry) != FROZEN -> stand_outside(); break }
	   fi
	od
}

inline copy_contents() {
	atomic {
		must(A_PAGE_IS_FILLED_ONCE, contents[FRAME(s_entry)] == EMPTY);
		contents[FRAME(s_entry)] = HALF
	};
	atomic {
		must(A_PAGE_IS_FILLED_ONCE, contents[FRAME(s_entry)] == HALF);
		contents[FRAME(s_entry)] = ARRIVED;
		contents[FRAME(s_entry) + SIZE(s_level) - 1] = ARRIVED
	}
}

inline publish_entry() {
	atomic {
		slot(gfn) = ENTRY(PRESENT, FRAME(s_entry));
		now_maps(gfn, s_level, FRAME(s_entry));
		disturbed = disturbed | (s_level > 1);
		check()
	}
}

inline count_arrival() {
	atomic {
		present[at[me]]++;
		/* More than all is what "fewer than none" looks like, when what was not counted yet
		 * is gone again. */
#ifdef COMPLETE_BY_GREATER
		complete = present[at[me]] >= 2;
#else
		complete = present[at[me]] == 2;
#endif
		must(ONE_ARRIVAL_SEES_FULL, !complete || present[at[me]] == 2);
		full_seen = full_seen + (complete && s_level == 1 && gfn < 2 -> 1 : 0)
#ifndef COUNT_BEFORE_THE_ENTRY
		; stand_outside()
#endif
	}
}

/* Its contents, and the entry. full: the table has become complete by it. */
inline ept_publish() {
#ifdef PUBLISH_BEFORE_THE_CONTENTS
	publish_entry();
	copy_contents();
	count_arrival();
#else
	copy_contents();
#ifdef COUNT_BEFORE_THE_ENTRY
	count_arrival();
	publish_entry();
#else
	publish_entry();
	count_arrival();
#endif
#endif
#ifdef COUNT_BEFORE_THE_ENTRY
	atomic { stand_outside() };
#endif
	claimed = 0
}

inline ept_give_up() {
	atomic { slot(gfn) = WITH_KIND(s_entry, ABSENT); claimed = 0; disturbed = 1; check();
		 stand_outside() }
}

/* hv/mem/pager.c: places one page, or one large one, and collapses what it completes. */
inline arrive(level) {
	gfn = page;
	ept_fill(level);
	if
#ifdef GIVING_UP
	:: atomic { claimed }; ept_give_up()
#endif
	:: atomic { claimed };
	   ept_publish();
	   if
	   :: atomic { complete && level < TOP -> complete = 0; c_level = level + 1 }; ept_collapse()
	   :: atomic { !(complete && level < TOP) -> complete = 0 }
	   fi
	:: atomic { !claimed }
	fi
}

/* --- collapse.c ------------------------------------------------------------------------------- */

#define FOLLOWS(e1, e0, level) (((e1) & ~AD) == (PIECE(e0, 1, (level) - 1) & ~AD))

/* The child's lock is held: its entries are PRESENT, and only bits that hardware sets change. */
inline merge() {
	atomic { leaf = E(child, 0) };
	atomic {
		ad = (leaf | E(child, 1)) & AD;
		if
#ifdef COLLAPSE_UNVERIFIED
		:: true ->
			leaf = ENTRY(PRESENT, FRAME(leaf)) | ad
#else
		:: FOLLOWS(E(child, 1), leaf, s_level) && (FRAME(leaf) & (SIZE(s_level) - 1)) == 0 ->
#ifdef COLLAPSE_DROPS_THE_BITS
			leaf = leaf & ~AD
#else
			leaf = leaf | ad
#endif
#endif
		:: else -> leaf = 0
		fi
	}
}

inline replace() {
	do
	:: atomic {
#ifndef COLLAPSE_LEAVES_THE_TABLE_ALIVE
		dead[child] = 1;
#endif
		if
		:: slot(gfn) == s_entry -> slot(gfn) = leaf; check(); break
		:: else -> s_entry = slot(gfn)
		fi
	   }
	od;
	atomic {
		present[at[me]]++;
		parent_full = present[at[me]] == 2;
		gather_table(ad, 1);
		lock[child] = 0;
		lock[at[me]] = 0;
		leaf = 0;
		ad = 0;
		child = ROOT;
		stand_outside()
	}
}

inline collapse_slot() {
	slot_find(c_level);
	if
	:: atomic { s_level == c_level && KIND(s_entry) == TABLE };
	   slot_lock(TABLE);
	   if
	   :: atomic { !locked }
	   :: atomic { locked -> locked = 0; child = FRAME(s_entry) };
	      atomic { lock[child] == 0 ->
#ifdef COLLAPSE_UNVERIFIED
		leaf = 0;
#else
		leaf = present[child] == 2;
#endif
		lock[child] = 1 };
#ifdef COLLAPSE_UNVERIFIED
	      merge();
#else
	      if
	      :: atomic { leaf }; merge()
	      :: atomic { !leaf }
	      fi;
#endif
	      if
	      :: atomic { leaf }; replace()
	      :: atomic { !leaf ->
#ifdef REFUSED_COLLAPSE_LEAVES_THE_TABLE_DEAD
		dead[child] = 1;
#endif
		lock[child] = 0;
		lock[at[me]] = 0;
		ad = 0;
		child = ROOT;
		stand_outside() }
	      fi
	   fi
	:: atomic { !(s_level == c_level && KIND(s_entry) == TABLE) -> stand_outside() }
	fi
}

/* The slot of c_level that covers gfn, and upwards while tables become complete by it. */
inline ept_collapse() {
	do
	:: collapse_slot();
	   if
	   :: atomic { parent_full && c_level < TOP -> parent_full = 0; c_level++; gfn = BASE(gfn, c_level) }
	   :: atomic { !(parent_full && c_level < TOP) -> parent_full = 0; c_level = 0; break }
	   fi
	od
}

/* --- gather.c --------------------------------------------------------------------------------- */

inline gather_table(bits, late_bits_matter) {
	use[child] = WAITING;
	g_owed = 1;
	g_table[g_n] = child;
	g_gfn[g_n] = BASE(gfn, s_level);
	g_level[g_n] = s_level;
	g_seen[g_n] = bits;
	g_harvest[g_n] = late_bits_matter;
	g_n++
}

/* Sets bits in whatever maps the range now; also where its frame is being changed: who does that
 * takes them along. */
inline add_ad() {
	do
	:: slot_find(1);
	   if
#ifdef LATE_BITS_MISS_A_FROZEN_SLOT
	   :: atomic { KIND(s_entry) == PRESENT ->
#else
	   :: atomic { KIND(s_entry) == PRESENT || KIND(s_entry) == FROZEN ->
#endif
		if
		:: slot(gfn) == s_entry ->
			slot(gfn) = s_entry | ad;
			gfn = BASE(gfn, s_level) + SIZE(s_level)
		:: else
		fi }
	   :: atomic { else -> gfn = BASE(gfn, s_level) + SIZE(s_level) }
	   fi;
	   if
	   :: atomic { gfn >= g_gfn[g_n] + SIZE(g_level[g_n]) -> stand_outside(); break }
	   :: atomic { else -> restart() }
	   fi
	od
}

inline harvest() {
	atomic {
		ad = (E(g_table[g_n], 0) | E(g_table[g_n], 1)) & AD & ~g_seen[g_n];
		gfn = g_gfn[g_n]
	};
	if
#ifdef LATE_BITS_NOT_HARVESTED
	:: atomic { ad = 0 }
#else
	:: atomic { ad && g_harvest[g_n] }; add_ad(); atomic { ad = 0 }
	:: atomic { !(ad && g_harvest[g_n]) -> ad = 0 }
#endif
	fi
}

inline ept_sync() {
	if
	:: atomic { g_owed };
#if defined(FREE_BEFORE_THE_FLUSH) || defined(HARVEST_BEFORE_THE_FLUSH)
#else
	   tlb_flush();
#endif
	   do
	   :: atomic { g_n > 0 -> g_n-- };
	      harvest();
#ifdef HARVEST_BEFORE_THE_FLUSH
	      tlb_flush();
#endif
	      atomic {
		table_free(g_table[g_n]);
		g_table[g_n] = 0; g_gfn[g_n] = 0; g_level[g_n] = 0; g_seen[g_n] = 0;
		g_harvest[g_n] = 0
	      }
	   :: atomic { g_n == 0 -> break }
	   od;
#if defined(FREE_BEFORE_THE_FLUSH)
	   tlb_flush();
#endif
	   atomic { g_owed = 0; gfn = 0 }
	:: atomic { !g_owed }
	fi
}
