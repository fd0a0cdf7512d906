/* SPDX-License-Identifier: MIT */
/* Who is there, and how it begins: one of these is defined. See protocol.pml. */

#ifdef ARRIVALS /* pages of one large absent entry, duplicates among them; all collapses */
#define TOP 2
#define ACTOR0 arrivals(0, 1)
#define ACTOR1 arrivals(1, 0)
#define ACTOR2 collapse(2); tlb_quiesce(); arrival(0, 1)
#define BEGIN root_is(ENTRY(ABSENT, 0))
#define FULL_EXPECTED 1
#define COLLAPSED 1
#endif

#ifdef ARRIVALS_DEEP /* the same with a level more, pages of two sizes, and a claim given up */
#define TOP 3
#define GIVING_UP
#define ACTOR0 arrivals(0, 1)
#define ACTOR1 arrival(2, 2)
#define ACTOR2 arrivals(1, 3)
#define BEGIN root_is(ENTRY(ABSENT, 0))
#define FULL_EXPECTED 1
#endif

#ifdef FAULTS /* a guest asks for pages while they come */
#define TOP 2
#define WITH_ACCESSED
#define ACTOR0 arrival(0, 1)
#define ACTOR1 arrivals(0, 1)
#define ACTOR2 vcpu(3)
#define VCPU 1
#define BEGIN root_is(ENTRY(ABSENT, 0))
#define FULL_EXPECTED 1
#define COLLAPSED 1
#endif

#ifdef SPLIT_COLLAPSE /* while a guest writes */
#define TOP 2
#define ACTOR0 split(0)
#define ACTOR1 collapse(2)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is(ENTRY(PRESENT, 0))
#endif

#ifdef REUSE /* a freed table page becomes another table */
#define TOP 2
#define WITH_ACCESSED
#define ACTOR0 collapse(2); tlb_quiesce(); split(1)
#define ACTOR1 split(0)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is_split(0)
#endif

#ifdef COLLAPSE_DEEP /* two levels at once */
#define TOP 3
#define ACTOR0 collapse(2)
#define ACTOR1 split(2)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is_split_twice()
#endif

#ifdef POISONING
#define TOP 2
#define ACTOR0 poison(0)
#define ACTOR1 split(1); tlb_quiesce(); collapse(2)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is(ENTRY(PRESENT, 0))
#endif

#ifdef POISON_ARRIVAL
#define TOP 2
#define ACTOR0 poison(0)
#define ACTOR1 arrivals(0, 1)
#define ACTOR2 poison(1)
#define BEGIN root_is(ENTRY(ABSENT, 0))
#define FULL_EXPECTED 1
#endif

#ifdef UNMAP_ARRIVAL
#define TOP 2
#define ACTOR0 unmap(0, 1)
#define ACTOR1 arrivals(0, 1)
#define ACTOR2 arrivals(1, 0)
#define BEGIN root_is(ENTRY(ABSENT, 0))
#define FULL_EXPECTED 1
#endif

#ifdef UNMAP_GUEST
#define TOP 2
#define ACTOR0 unmap(1, 1)
#define ACTOR1 collapse(2); tlb_quiesce(); unmap(0, 1)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is_split(0)
#endif

#ifdef RELOCATION
#define TOP 2
#define ACTOR0 relocation(0)
#define ACTOR1 collapse(2); tlb_quiesce(); relocation(1)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is_split(0)
#endif

#ifdef RELOCATION_OTHERS
#define TOP 2
#define ACTOR0 relocation(0)
#define ACTOR1 poison(1); tlb_quiesce(); unmap(0, 1)
#define ACTOR2 arrivals(0, 1)
#define BEGIN root_is_split(0)
#endif

#ifdef RELOCATION_LATE_BITS
#define TOP 2
#define ACTOR0 collapse(2)
#define ACTOR1 relocation(0)
#define ACTOR2 vcpu(3)
#define VCPU 1
#define BEGIN root_is_split(0)
#endif

#ifdef PROTECTION
#define TOP 2
#define ACTOR0 protection(0)
#define ACTOR1 split(0); tlb_quiesce(); poison(1)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is_split(READONLY)
#endif

#ifdef FLUSHES /* two at once, and a CPU that joins and leaves */
#define TOP 2
#define JOINING
#define ACTOR0 split(0)
#define ACTOR1 unmap(0, 0)
#define ACTOR2 vcpu(2)
#define VCPU 1
#define BEGIN root_is(ENTRY(PRESENT, 0)); joined[2] = 0
#endif

#ifndef VCPU /* whether actor 2 is one */
#define VCPU 0
#endif
#ifndef FULL_EXPECTED /* arrivals that complete the table of pages 0 and 1 */
#define FULL_EXPECTED 0
#endif
#ifndef COLLAPSED /* whether all is one leaf at the end, if nothing was taken away */
#define COLLAPSED 0
#endif
