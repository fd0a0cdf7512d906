/* SPDX-License-Identifier: MIT */
/* The shootdown. See hv/mem/tlb.h. */
#include "hv/mem/tlb.h"

#include "hv/base/smp.h"
#include "mm/lock.h"

void tlb_init(struct tlb *tlb, const struct ept *ept, void (*flush)(const struct ept *ept))
{
	*tlb = (struct tlb){ .ept = ept, .flush = flush };
}

void tlb_catch_up(struct tlb *tlb, unsigned int cpu, uint64_t generation)
{
	tlb->flush(tlb->ept);
	tlb->cpu[cpu].flushes++;
	/* Release: the walks before this point are over. */
	atomic_store_explicit(&tlb->cpu[cpu].seen, generation, memory_order_release);
}

void tlb_join(struct tlb *tlb, unsigned int cpu)
{
	/* Sequentially consistent against the flusher's "raise, then look who joined": either it
	 * sees us, or we see all that it unlinked. */
	atomic_fetch_or(&tlb->joined, 1u << cpu);
	tlb_catch_up(tlb, cpu, atomic_load(&tlb->generation));
}

void tlb_leave(struct tlb *tlb, unsigned int cpu)
{
	atomic_fetch_and(&tlb->joined, ~(1u << cpu));
}

bool tlb_visit(struct tlb *tlb, unsigned int cpu)
{
	/* Nobody else changes this CPU's bit. */
	if (atomic_load_explicit(&tlb->joined, memory_order_relaxed) >> cpu & 1)
		return false;
	tlb_join(tlb, cpu);
	return true;
}

static bool behind(struct tlb *tlb, unsigned int cpu, uint64_t generation)
{
	return atomic_load(&tlb->joined) >> cpu & 1 &&
	       atomic_load_explicit(&tlb->cpu[cpu].seen, memory_order_acquire) < generation;
}

void tlb_flush(struct tlb *tlb, unsigned int cpu)
{
	uint64_t generation = atomic_fetch_add(&tlb->generation, 1) + 1;

	tlb_quiesce(tlb, cpu);
	for (unsigned int i = 0; i < ncpus; i++)
		if (i != cpu && behind(tlb, i, generation))
			cpu_kick(i);
	for (unsigned int i = 0; i < ncpus; i++)
		while (i != cpu && behind(tlb, i, generation)) {
			/* Two CPUs that flush at once wait for each other: acknowledge. */
			tlb_quiesce(tlb, cpu);
			cpu_remind(i);
			cpu_pass();
		}
}

uint64_t tlb_count(const struct tlb *tlb)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < MAX_CPUS; i++)
		n += tlb->cpu[i].flushes;
	return n;
}
