/* SPDX-License-Identifier: MIT */
/*
 * Shooting down what CPUs cached of one second stage.
 *
 * A flush raises the generation and kicks the CPUs that have joined. Each CPU compares
 * generations wherever it holds no pointer into the tables: before each VM entry, and in every
 * loop that waits. There it flushes if it is behind, and says so. A kick that comes between that
 * look and the entry stays pending, and the entry exits at once (SDM vol. 3C, "VM Exits Induced by
 * External Interrupts"), so entering costs two loads and no locked instruction.
 */
#ifndef HV_TLB_H
#define HV_TLB_H

#include <stdatomic.h>

#include "mm/types.h"

struct ept;

struct tlb {
	const struct ept *ept;
	void (*flush)(const struct ept *ept); /* on this CPU */
	_Atomic uint64_t generation;
	_Atomic uint32_t joined; /* bit n: CPU n runs or walks this second stage */
	struct {
		_Atomic uint64_t seen; /* generation up to which this CPU has flushed */
		uint64_t flushes;      /* that it did; its own */
	} __attribute__((aligned(CACHE_LINE))) cpu[MAX_CPUS];
};

void tlb_init(struct tlb *tlb, const struct ept *ept, void (*flush)(const struct ept *ept));

/* Join before this CPU first walks or runs the second stage; leave after the last time. */
void tlb_join(struct tlb *tlb, unsigned int cpu);
void tlb_leave(struct tlb *tlb, unsigned int cpu);

/* As tlb_join(), for a CPU that may have joined already. True: it had not; call tlb_leave(). */
bool must_check tlb_visit(struct tlb *tlb, unsigned int cpu);

void tlb_catch_up(struct tlb *tlb, unsigned int cpu, uint64_t generation);

/* Does somebody wait for this CPU to acknowledge a flush? */
static inline bool tlb_behind(const struct tlb *tlb, unsigned int cpu)
{
	return atomic_load_explicit(&tlb->generation, memory_order_acquire) !=
	       atomic_load_explicit(&tlb->cpu[cpu].seen, memory_order_relaxed);
}

/* Acknowledges the flushes that others wait for. Call it outside of any walk. */
static inline void tlb_quiesce(struct tlb *tlb, unsigned int cpu)
{
	uint64_t now = atomic_load_explicit(&tlb->generation, memory_order_acquire);

	if (now != atomic_load_explicit(&tlb->cpu[cpu].seen, memory_order_relaxed))
		tlb_catch_up(tlb, cpu, now);
}

/* The shootdown: returns when every CPU that had joined has flushed. See ops->flush() in
 * ept/ept.h. Call it outside of any walk, holding no lock. */
void tlb_flush(struct tlb *tlb, unsigned int cpu);

/* Flushes that were asked for, of all CPUs at once each. */
static inline uint64_t tlb_rounds(const struct tlb *tlb)
{
	return atomic_load(&tlb->generation);
}

uint64_t tlb_count(const struct tlb *tlb);

#endif
