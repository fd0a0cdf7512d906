/* SPDX-License-Identifier: MIT */
/* Reverse lookup. See hv/mem/reverse.h. */
#include "hv/mem/reverse.h"

#include "hv/mem/memory.h"
#include "mm/percpu.h"

/*
 * A lookup walks the tables of all memories, so flushes of each must wait for this CPU. Joins those
 * that it had not joined. Return: these; bit n for space n. The caller holds backing_lock, so no
 * memory goes away.
 */
static uint32_t join_all(void)
{
	uint32_t joined = 0;

	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++)
		if (machine_rmap.space[i] &&
		    tlb_visit(&mem_of(machine_rmap.space[i])->tlb, cpu_id()))
			joined |= 1u << i;
	return joined;
}

static void leave_all(uint32_t joined)
{
	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++)
		if (joined >> i & 1)
			tlb_leave(&mem_of(machine_rmap.space[i])->tlb, cpu_id());
}

static unsigned int find(hpa_t frame, void (*visit)(void *ctx, const struct ept_mapping *m),
			 void *ctx)
{
	uint32_t joined = join_all();
	unsigned int n = ept_rmap_find(&machine_rmap, frame, visit, ctx);

	leave_all(joined);
	return n;
}

unsigned int reverse_find(hpa_t frame, void (*visit)(void *ctx, const struct ept_mapping *m),
			  void *ctx)
{
	unsigned int n;

	spin_lock(&backing_lock);
	n = find(frame, visit, ctx);
	spin_unlock(&backing_lock);
	return n;
}

static void only_count(void *ctx, const struct ept_mapping *m)
{
	(void)ctx;
	(void)m;
}

unsigned int reverse_count_locked(hpa_t frame)
{
	return find(frame, only_count, NULL);
}

uint64_t reverse_count(hpa_t block, unsigned int order)
{
	uint32_t joined;
	uint64_t n;

	spin_lock(&backing_lock);
	joined = join_all();
	n = ept_rmap_count(&machine_rmap, block, order);
	leave_all(joined);
	spin_unlock(&backing_lock);
	return n;
}
