/* SPDX-License-Identifier: MIT */
/* The queue behind collapse=budget. See hv/policy/budget.h. */
#include "hv/policy/budget.h"

#include "hv/base/clock.h"
#include "hv/mem/collapse.h"

#define QUEUE 256 /* ranges of one CPU that wait, power of two */

/* One writer, the CPU that places the last page; and the boot CPU reads. */
struct queue {
	_Atomic uint32_t head, tail;
	gfn_t range[QUEUE]; /* aligned to 512 frames, so its level fits beside it */
};

static struct {
	struct memory *mem; /* whose ranges wait */
	uint64_t begun;     /* TSC */
	uint64_t per_ms, used;
	struct queue queue[MAX_CPUS];
} budget;

void budget_begin(struct memory *mem, const struct run_config *config)
{
	__builtin_memset(&budget, 0, sizeof(budget));
	budget.mem = mem;
	budget.begun = clock_now();
	budget.per_ms = config->budget;
}

static bool put(struct queue *q, gfn_t gfn, enum pg_level level)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&q->head, memory_order_acquire) == QUEUE)
		return false;
	q->range[tail % QUEUE] = ALIGN_DOWN(gfn, 512) | level;
	atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
	return true;
}

static bool get(struct queue *q, gfn_t *range)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (head == atomic_load_explicit(&q->tail, memory_order_acquire))
		return false;
	*range = q->range[head % QUEUE];
	atomic_store_explicit(&q->head, head + 1, memory_order_release);
	return true;
}

/* A full queue loses nothing: the range collapses at once. */
void budget_complete(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	if (mem != budget.mem || !put(&budget.queue[cpu], gfn, level))
		mem_collapse(mem, cpu, gfn, level);
}

static bool collapse_next(struct memory *mem, unsigned int cpu)
{
	gfn_t range;

	for (unsigned int i = 0; i < ncpus; i++)
		if (get(&budget.queue[i], &range)) {
			mem_collapse(mem, cpu, ALIGN_DOWN(range, 512), range & 511);
			budget.used++;
			return true;
		}
	return false;
}

/* Collapses one range only, so that urgent pages get their turn. */
bool budget_step(struct memory *mem, unsigned int cpu)
{
	uint64_t ms = cycles_to_us(clock_now() - budget.begun) / 1000 + 1;

	return mem == budget.mem && budget.used < ms * budget.per_ms && collapse_next(mem, cpu);
}

static bool waits(void)
{
	for (unsigned int i = 0; i < ncpus; i++)
		if (atomic_load_explicit(&budget.queue[i].head, memory_order_relaxed) !=
		    atomic_load_explicit(&budget.queue[i].tail, memory_order_acquire))
			return true;
	return false;
}

bool budget_finish(struct memory *mem, unsigned int cpu)
{
	(void)budget_step(mem, cpu);
	return mem == budget.mem && waits();
}
