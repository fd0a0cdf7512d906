/* SPDX-License-Identifier: MIT */
/* hv/mem/tlb.[ch], and what hardware does behind its back: a vCPU. See protocol.pml. */

/* The look at the generation, and the flush that is said to be done, are two moments. */
inline tlb_quiesce() {
	if
	:: atomic { generation == seen[me] -> skip }
	:: atomic { generation != seen[me] -> now = generation };
#ifdef ACK_BEFORE_THE_FLUSH
	   seen[me] = now;
#endif
	   atomic {
#ifndef ACK_WITHOUT_A_FLUSH
		tlb_forget();
#endif
		seen[me] = now;
		now = 0
	   }
	fi
}

inline tlb_forget() {
	tlb = 0;
	tlb_gfn = 0;
	tlb_level = 0;
	pwc[me] = ROOT;
#if TOP == 3
	pwc2[me] = ROOT;
#endif
	pwc_gfn[me] = 0
}

#define BEHIND(cpu) ((cpu) != me && joined[cpu] && seen[cpu] < raised)

/* A kick ends a guest's stay, and only CPU 2 runs a guest; the others look by themselves. */
inline cpu_kick() {
	atomic {
		if
#ifndef NO_KICK
		:: BEHIND(2) && VCPU -> kick[2] = 1
#endif
		:: else
		fi
	}
}

/* Acknowledges others' flushes meanwhile. */
inline await(condition) {
	do
#ifdef FLUSH_DOES_NOT_WAIT
	:: true -> break
#else
	:: condition -> break
#endif
#ifndef FLUSHER_DOES_NOT_ACK
	:: generation != seen[me] -> tlb_quiesce()
#endif
	od
}

/* 0 and 1 have joined for good, and what they have acknowledged they do not take back: one look at
 * both is as good as two. */
inline tlb_flush() {
#ifdef RAISE_AFTER_THE_KICK
	raised = generation + 1;
	cpu_kick();
	atomic { generation++; raised = generation };
	tlb_quiesce();
#else
	atomic { generation++; raised = generation };
#ifndef FLUSHER_DOES_NOT_ACK
	tlb_quiesce();
#endif
	cpu_kick();
#endif
	await((!BEHIND(0) && !BEHIND(1)));
	await((!BEHIND(2)));
	raised = 0
}

inline tlb_join() {
	joined[me] = 1;
	atomic { now = generation };
	atomic { tlb_forget(); seen[me] = now; now = 0 }
}

/* --- hardware's walk: w_gfn, w_write ---------------------------------------------------------- */

#define SERVES(base, level) (BASE(w_gfn, level) == (base))

#define CACHED 1 /* the TLB serves it */
#define FAULT  2
#define DENIED 3
#define OVER   4

/* One entry. Hardware sets bits only in an entry that is still what it has read, so that reading
 * and setting are one step. */
inline walk_entry() {
	must(NO_WALK_OF_JUNK, use[at[me]] == LINKED || use[at[me]] == WAITING);
	s_entry = slot(w_gfn);
	if
	:: KIND(s_entry) == TABLE ->
#ifdef WITH_ACCESSED
		slot(w_gfn) = s_entry | ACCESSED;
#endif
		at[me] = FRAME(s_entry);
		s_level--;
		if /* perhaps it remembers the way */
		:: s_level == 1 -> pwc[me] = at[me]; pwc_gfn[me] = BASE(w_gfn, 2)
#if TOP == 3
		:: s_level == 2 -> pwc2[me] = at[me]
#endif
		:: true
		fi
	:: KIND(s_entry) == PRESENT && !(w_write && s_entry & READONLY) ->
		s_entry = s_entry | (w_write -> DIRTY : 0);
#ifdef WITH_ACCESSED
		s_entry = s_entry | ACCESSED;
#endif
		slot(w_gfn) = s_entry;
		tlb = s_entry;
		tlb_level = s_level;
		tlb_gfn = BASE(w_gfn, s_level);
		break
	:: KIND(s_entry) == PRESENT && w_write && s_entry & READONLY ->
		result = DENIED;
		break
	:: else ->
		must(NO_WALK_OF_JUNK, KIND(s_entry) != JUNK);
		must(NO_FAULT_ON_WHAT_IS_PRESENT, !steady[me]);
		result = FAULT;
		/* SDM vol. 3C, "Operations that Invalidate Cached Mappings". */
		tlb_forget();
		break
	fi
}

/* The access itself, through what the TLB holds. */
inline touch() {
	d_step {
		x_frame = FRAME(tlb) + w_gfn - tlb_gfn;
		must(CONTENTS_COME_BEFORE_READERS, contents[x_frame] >= ARRIVED);
		must(NO_ACCESS_AFTER_THE_REPORT, !lost[w_gfn]);
		must(NO_ACCESS_AFTER_THE_REPORT, !(moved[w_gfn] && x_frame == w_gfn));
		must(NO_ACCESS_AFTER_THE_REPORT, !(protected[w_gfn] && w_write));
		must(NO_WRITE_OF_THE_GUEST_IS_LOST, !wrote[w_gfn] || contents[x_frame] == WRITTEN);
		if
		:: w_write -> dirty[w_gfn] = 1; wrote[w_gfn] = 1; contents[x_frame] = WRITTEN
		:: else
		fi
#ifdef WITH_ACCESSED
		; accessed[w_gfn] = 1
#endif
	}
}

/* One access. What is cached may serve it, or have been evicted. */
inline access() {
	atomic {
		left > 0 ->
		left--;
		pick_access();
		restart();
		if
		:: tlb && SERVES(tlb_gfn, tlb_level) &&
		   (!w_write || (tlb & DIRTY && !(tlb & READONLY))) -> result = CACHED
		:: pwc[me] != ROOT && SERVES(pwc_gfn[me], 2) -> at[me] = pwc[me]; s_level = 1
#if TOP == 3
		:: pwc2[me] != ROOT -> at[me] = pwc2[me]; s_level = 2
#endif
		:: true
		fi;
		walked[me] = w_gfn;
		steady[me] = expect[w_gfn] != GONE
	};
	do
	:: atomic {
		if
		:: result == CACHED -> result = 0; break
		:: else -> walk_entry()
		fi
	   }
	od;
	atomic {
		if
		:: result == 0 -> touch()
		:: else
		fi;
		stand_outside();
		walked[me] = GONE;
		steady[me] = 0
	}
}

#define WILL_COME(e) \
	(KIND(e) == FILLING || KIND(e) == FROZEN || (KIND(e) == ABSENT && e & REQUESTED))

/* hv/cpu/vcpu.c: runs until a kick, a fault, or until all others have finished. */
inline enter() {
	do
	:: atomic { kick[me] -> kick[me] = 0; break }
	:: access();
	   if
	   :: atomic { result == FAULT -> break }
	   :: atomic { else -> result = 0 }
	   fi
	:: atomic { left == 0 && over == CPUS - 1 -> result = OVER; break }
	od
}

/* hv/cpu/vcpu.c begin_wait(), hv/vm/run.c turn_of(): asks for the page, looks now and then. */
inline fault() {
	page = w_gfn;
	ept_request();
	do
	:: atomic { !WILL_COME(ENTRY_OF(w_gfn)) || over == CPUS - 1 -> break }
	:: generation != seen[me] -> tlb_quiesce()
	od
}

inline vcpu(accesses) {
#ifdef JOINING
	tlb_join();
#endif
	left = accesses;
	do
	:: tlb_quiesce();
#ifdef KICK_LOST_AT_ENTRY
	   kick[me] = 0;
#endif
	   enter();
	   if
	   :: result == OVER -> break
	   :: atomic { result == FAULT -> result = 0 }; fault()
	   :: else
	   fi
	od;
	result = 0
}
