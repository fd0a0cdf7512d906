/* SPDX-License-Identifier: MIT */
/* ept/: unmap, poison, and the changes that go through FROZEN. See protocol.pml. */

/* With the table's lock held: the slot becomes something that hardware does not see. */
inline hide_present(new_entry) {
	do
	:: atomic {
		if
		:: slot(gfn) == s_entry ->
			slot(gfn) = new_entry;
			now_gone(gfn, s_level);
			check();
			break
		:: else -> s_entry = slot(gfn)
		fi
	   }
	od
}

/* --- poison.c --------------------------------------------------------------------------------- */

inline ept_poison() {
	gfn = page;
	do
	:: ept_split(1);
	   if
	   :: atomic { err -> break }
	   :: atomic { !err }
	   fi;
	   slot_find(1);
	   if
	   :: atomic { s_level > 1 && KIND(s_entry) != NONE -> restart() } /* it collapsed again */
	   :: atomic { KIND(s_entry) == NONE || KIND(s_entry) == POISON -> stand_outside(); break }
	   :: atomic { s_level == 1 && KIND(s_entry) == FILLING }; wait_inside()
	   :: atomic { s_level == 1 && KIND(s_entry) == FROZEN }; look_again_later()
	   :: atomic { s_level == 1 && KIND(s_entry) == ABSENT ->
		if
		:: slot(gfn) == s_entry ->
			slot(gfn) = ENTRY(POISON, FRAME(s_entry));
			disturbed = 1;
			reporting = 1;
			check();
			stand_outside();
			break
		:: else -> restart()
		fi }
	   :: atomic { s_level == 1 && KIND(s_entry) == PRESENT };
	      slot_lock(PRESENT);
	      if
	      :: atomic { !locked }
	      :: atomic { locked -> locked = 0 };
		 hide_present(ENTRY(POISON, FRAME(s_entry)));
		 atomic {
			present[at[me]]--;
			lock[at[me]] = 0;
#ifndef POISON_OWES_NO_FLUSH
			g_owed = 1;
#endif
			reporting = 1;
			stand_outside();
			break
		 }
	      fi
	   fi
	od
}

/* --- map.c: ept_unmap() of [page, last] ------------------------------------------------------- */

#define WITHIN(level) (BASE(gfn, level) >= page && BASE(gfn, level) + SIZE(level) - 1 <= last)

inline clear_present() {
#ifdef UNMAP_WITHOUT_THE_LOCK
	locked = 1;
#else
	slot_lock(PRESENT);
#endif
	if
	:: atomic { !locked }
	:: atomic { locked -> locked = 0 };
	   hide_present(NONE);
	   atomic {
		present[at[me]]--;
		lock[at[me]] = 0;
#ifndef UNMAP_OWES_NO_FLUSH
		g_owed = 1;
#endif
		gfn = gfn + SIZE(s_level);
		restart()
	   }
	fi
}

inline clear_slots() {
	do
	:: atomic { gfn > last -> break }
	:: atomic { gfn <= last };
	   slot_find(1);
	   if
	   :: atomic { s_entry && !WITHIN(s_level) -> c_level = s_level - 1; restart() };
	      ept_split(c_level)
	   :: atomic { KIND(s_entry) == NONE -> gfn = gfn + SIZE(s_level); restart() }
	   :: atomic { WITHIN(s_level) && KIND(s_entry) == PRESENT }; clear_present()
	   :: atomic { WITHIN(s_level) && KIND(s_entry) == FROZEN }; look_again_later()
#ifdef UNMAP_TAKES_WHAT_IS_BEING_FILLED
	   :: atomic { WITHIN(s_level) && (KIND(s_entry) == ABSENT || KIND(s_entry) == POISON ||
					   KIND(s_entry) == FILLING) ->
#else
	   :: atomic { WITHIN(s_level) && KIND(s_entry) == FILLING }; wait_inside()
	   :: atomic { WITHIN(s_level) && (KIND(s_entry) == ABSENT || KIND(s_entry) == POISON) ->
#endif
		if
		:: slot(gfn) == s_entry ->
#ifndef UNMAP_LEAVES_ABSENT_CHILDREN
			slot(gfn) = NONE;
#endif
			disturbed = 1;
			check();
			gfn = gfn + SIZE(s_level)
		:: else
		fi;
		restart() }
	   fi;
	   if
	   :: atomic { err -> break }
	   :: atomic { !err }
	   fi
	od
}

#ifdef UNMAP_LEAVES_ABSENT_CHILDREN
#define EMPTY_ENTRY(e) (KIND(e) == NONE || KIND(e) == ABSENT)
#else
#define EMPTY_ENTRY(e) ((e) == NONE)
#endif

/* With the slot's table locked; child is its table. */
inline drop_locked() {
	atomic { lock[child] == 0 -> lock[child] = 1; leaf = EMPTY_ENTRY(E(child, 0)) };
	atomic { leaf = leaf && EMPTY_ENTRY(E(child, 1)) };
	do
	:: atomic { leaf ->
		dead[child] = 1;
		if
		:: slot(gfn) == s_entry ->
			slot(gfn) = NONE;
			gather_table(0, 0);
			leaf = 0;
			check()
		:: else -> s_entry = slot(gfn)
		fi
	   }
	:: atomic { !leaf -> lock[child] = 0; lock[at[me]] = 0; child = ROOT; break }
	od
}

inline drop_tables() {
	c_level = 2;
	gfn = page;
	do
	:: atomic { c_level > TOP -> c_level = 0; stand_outside(); break }
	:: atomic { c_level <= TOP };
	   slot_find(c_level);
	   if
	   :: atomic { s_level == c_level && KIND(s_entry) == TABLE };
	      slot_lock(TABLE);
	      if
	      :: atomic { !locked }
	      :: atomic { locked -> locked = 0; child = FRAME(s_entry) };
		 drop_locked()
	      fi
	   :: atomic { !(s_level == c_level && KIND(s_entry) == TABLE) }
	   fi;
	   atomic {
		restart();
		gfn = BASE(gfn, c_level) + SIZE(c_level);
		if
		:: gfn > last -> c_level++; gfn = page
		:: else
		fi
	   }
	od
}

inline ept_unmap() {
	gfn = page;
	clear_slots();
	if
	:: atomic { !err }; drop_tables()
	:: atomic { err }
	fi
}

/* --- FROZEN ----------------------------------------------------------------------------------- */

/* Its owner alone: bits that a harvest has left in it meanwhile are taken along. */
inline publish_frozen(bits) {
	do
	:: atomic {
		if
#ifdef FROZEN_PUBLISHED_BY_A_PLAIN_STORE
		:: true ->
#else
		:: slot(gfn) == s_entry ->
#endif
			s_entry = ENTRY(PRESENT, leaf) | (s_entry & (AD | READONLY)) | bits;
			slot(gfn) = s_entry;
			now_maps(gfn, s_level, leaf);
			check();
			break
		:: else -> s_entry = slot(gfn)
		fi
	   }
	od;
	atomic { present[at[me]]++; leaf = 0; stand_outside() }
}

inline copy_frame() {
	atomic { contents[leaf] = contents[FRAME(s_entry)] };
	atomic { contents[leaf + SIZE(s_level) - 1] = contents[FRAME(s_entry) + SIZE(s_level) - 1] }
}

/* PRESENT -> FROZEN, flush, copy, PRESENT with another frame. The owner keeps its slot while it
 * waits: what is FROZEN keeps its table from being taken away. */
inline relocate() {
	gfn = page;
	slot_find(1);
	if
	:: atomic { KIND(s_entry) == PRESENT && FRAME(s_entry) < 4 };
	   slot_lock(PRESENT);
	   if
	   :: atomic { !locked }
	   :: atomic { locked -> locked = 0; leaf = FRAME(s_entry) + 4;
			last = (s_level == 2 -> page ^ 1 : page) };
	      hide_present(WITH_KIND(s_entry, FROZEN));
	      atomic {
#ifndef FROZEN_STILL_COUNTED
		present[at[me]]--;
#endif
		lock[at[me]] = 0;
		s_entry = WITH_KIND(s_entry, FROZEN)
	      };
#ifdef RELOCATION_COPIES_BEFORE_THE_FLUSH
	      copy_frame();
#endif
#ifndef FROZEN_WITHOUT_A_FLUSH
	      tlb_flush();
#endif
#ifndef RELOCATION_COPIES_BEFORE_THE_FLUSH
	      copy_frame();
#endif
	      publish_frozen(0);
	      atomic { moved[page] = 1; moved[last] = 1; last = 0 }
	   fi
	:: atomic { !(KIND(s_entry) == PRESENT && FRAME(s_entry) < 4) -> stand_outside() }
	fi
}

/* Collapse to a read-only leaf: TABLE -> FROZEN, flush, PRESENT. */
inline collapse_protected() {
	gfn = page;
	slot_find(2);
	if
	:: atomic { s_level == 2 && KIND(s_entry) == TABLE };
	   slot_lock(TABLE);
	   if
	   :: atomic { !locked }
	   :: atomic { locked -> locked = 0; child = FRAME(s_entry) };
	      freeze_table()
	   fi
	:: atomic { !(s_level == 2 && KIND(s_entry) == TABLE) -> stand_outside() }
	fi
}

inline freeze_table() {
	atomic { lock[child] == 0 -> leaf = present[child] == 2; lock[child] = 1 };
	atomic {
		ad = FRAME(E(child, 0));
		leaf = leaf && FRAME(E(child, 1)) == ad + 1 && (ad & 1) == 0
	};
	if
	:: atomic { !leaf ->
		ad = 0; lock[child] = 0; lock[at[me]] = 0; child = ROOT; stand_outside() }
	:: atomic { leaf -> leaf = ad; ad = 0; dead[child] = 1 };
	   hide_present(ENTRY(FROZEN, leaf) | READONLY);
	   atomic {
		s_entry = ENTRY(FROZEN, leaf) | READONLY;
		use[child] = WAITING;
		lock[child] = 0;
		lock[at[me]] = 0
	   };
#ifdef FROZEN_BITS_GATHERED_BEFORE_THE_FLUSH
	   atomic { ad = (E(child, 0) | E(child, 1)) & AD };
#endif
#ifndef PROTECTED_WITHOUT_A_FLUSH
	   tlb_flush();
#endif
#ifndef FROZEN_BITS_GATHERED_BEFORE_THE_FLUSH
	   atomic { ad = (E(child, 0) | E(child, 1)) & AD };
#endif
	   publish_frozen(ad);
	   atomic { table_free(child); child = ROOT; ad = 0; protected[0] = 1; protected[1] = 1 }
	fi
}
