/* SPDX-License-Identifier: MIT */
/* What actors do, and how it begins. See scenarios.pml. */

inline pick_access() {
	w_gfn = 0;
	do
	:: w_gfn < GUEST_PAGES - 1 -> w_gfn++
	:: break
	od;
	w_write = 0;
	if
	:: w_write = 1
	:: true
	fi
}

inline root_is(whole) {
	use[ROOT] = LINKED;
	E(ROOT, 0) = whole;
	present[ROOT] = (KIND(whole) == PRESENT -> 1 : 0);
	x_n = 1;
	do
	:: x_n < NTABLES -> use[x_n] = FREE; E(x_n, 0) = JUNK; E(x_n, 1) = JUNK; x_n++
	:: else -> break
	od;
	x_n = 0;
	do
	:: x_n < 4 ->
		expect[x_n] = (KIND(whole) == PRESENT && x_n < PAGES -> x_n : GONE);
		contents[x_n] = (KIND(whole) == PRESENT -> ARRIVED : EMPTY);
		x_n++
	:: else -> break
	od;
	x_n = 0;
	do
	:: x_n < CPUS -> joined[x_n] = 1; x_n++
	:: else -> break
	od
}

/* Two present pieces, in table 1. */
inline root_is_split(bits) {
	root_is(ENTRY(PRESENT, 0));
	E(ROOT, 0) = ENTRY(TABLE, 1);
	present[ROOT] = 0;
	use[1] = LINKED;
	E(1, 0) = ENTRY(PRESENT, 0);
	E(1, 1) = ENTRY(PRESENT, 1) | bits;
	present[1] = 2
}

/* The same, one level lower; pages 2 and 3 are one present leaf. */
inline root_is_split_twice() {
	root_is(ENTRY(PRESENT, 0));
	E(ROOT, 0) = ENTRY(TABLE, 2);
	present[ROOT] = 0;
	use[1] = LINKED;
	E(1, 0) = ENTRY(PRESENT, 0);
	E(1, 1) = ENTRY(PRESENT, 1);
	present[1] = 2;
	use[2] = LINKED;
	E(2, 0) = ENTRY(TABLE, 1);
	E(2, 1) = ENTRY(PRESENT, 2);
	present[2] = 1
}

inline arrival(gfn_, level) {
	atomic { page = gfn_ };
	arrive(level);
	ept_sync()
}

/* Between two calls it stands outside. */
inline arrivals(first, second) {
	arrival(first, 1);
	tlb_quiesce();
	arrival(second, 1)
}

inline split(gfn_) {
	atomic { gfn = gfn_ };
	ept_split(1);
	ept_sync();
	err = 0
}

/* From the smallest tables up, as ept_collapse_range(). */
inline collapse(level) {
	atomic { gfn = 0; c_level = 2 };
	ept_collapse();
	ept_sync()
}

inline poison(gfn_) {
	atomic { page = gfn_ };
	ept_poison();
	ept_sync();
	atomic { lost[page] = lost[page] | reporting; reporting = 0; err = 0 }
}

inline unmap(first, until) {
	atomic { page = first; last = until };
	ept_unmap();
	ept_sync();
	atomic {
		do
		:: page <= last && !err -> lost[page] = 1; page++
		:: else -> break
		od;
		last = 0;
		err = 0
	}
}

inline relocation(gfn_) {
	atomic { page = gfn_ };
	relocate()
}

inline protection(gfn_) {
	atomic { page = gfn_ };
	collapse_protected()
}
