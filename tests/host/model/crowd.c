/* SPDX-License-Identifier: MIT */
/* Threads that play CPUs. See tests/host/model/crowd.h. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/model/crowd.h"

void crowd_fail(struct crowd_cpu *cpu, const char *fmt, ...)
{
	va_list ap;

	if (cpu->fault[0])
		return;
	va_start(ap, fmt);
	vsnprintf(cpu->fault, sizeof(cpu->fault), fmt, ap);
	va_end(ap);
}

uint64_t crowd_random(struct crowd_cpu *cpu, uint64_t below)
{
	cpu->random ^= cpu->random >> 12;
	cpu->random ^= cpu->random << 25;
	cpu->random ^= cpu->random >> 27;
	return ((cpu->random * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % below;
}

/* --- what the second stage asks for ------------------------------------------------------------
 */

static int table_alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	struct crowd *c = ctx;
	struct crowd_cpu *me = &c->cpu[cpu];

	if (!me->nfree)
		return EPT_NO_TABLE;
	*table = me->free[--me->nfree];
	memset(frame_virt(&c->pool, *table), FRAME_JUNK, PAGE_SIZE);
	frame_of(&c->pool, *table)->state = FRAME_USED;
	return 0;
}

/* Plain writes: whoever still stands in the table races with them, and TSan tells. */
static void table_free(void *ctx, unsigned int cpu, hpa_t table)
{
	struct crowd *c = ctx;
	struct crowd_cpu *me = &c->cpu[cpu];

	memset(frame_virt(&c->pool, table), FRAME_JUNK, PAGE_SIZE);
	frame_of(&c->pool, table)->state = FRAME_FREE;
	me->free[me->nfree++] = table;
}

void crowd_pause(struct crowd_cpu *cpu)
{
	uint64_t generation = atomic_load_explicit(&cpu->crowd->generation, memory_order_acquire);

	if (atomic_load_explicit(&cpu->seen, memory_order_relaxed) == generation)
		return;
	tlb_flush(&cpu->tlb);
	atomic_store_explicit(&cpu->seen, generation, memory_order_release);
}

static void flush(void *ctx, unsigned int id)
{
	struct crowd *c = ctx;
	struct crowd_cpu *me = &c->cpu[id];
	uint64_t generation = atomic_fetch_add(&c->generation, 1) + 1;

	for (unsigned int i = 0; i < CROWD_CPUS; i++)
		while (atomic_load_explicit(&c->cpu[i].seen, memory_order_acquire) < generation) {
			crowd_pause(me);
			c->relax();
		}
}

static const struct ept_ops crowd_ops = {
	.table_alloc = table_alloc,
	.table_free = table_free,
	.flush = flush,
};

/* --- beginning and end ---------------------------------------------------------------------------
 */

static void yield(void)
{
	sched_yield();
}

static void init_cpu(struct crowd *c, unsigned int id, unsigned int tables, uint64_t seed)
{
	struct crowd_cpu *cpu = &c->cpu[id];

	cpu->crowd = c;
	cpu->id = id;
	cpu->me = ept_cpu(&c->ept, id);
	cpu->random = seed * 1000 + id + 1;
	for (unsigned int i = 0; i < tables; i++)
		cpu->free[cpu->nfree++] = hpa(CROWD_BASE + (uint64_t)(id * tables + i) * PAGE_SIZE);
}

void crowd_init(struct crowd *c, const struct ept_format *fmt, unsigned int tables_each,
		uint64_t seed)
{
	const uint64_t n = CROWD_CPUS * tables_each;
	void *tables = aligned_alloc(PAGE_SIZE, n * PAGE_SIZE);

	memset(c, 0, sizeof(*c));
	c->ntables = (unsigned int)n;
	c->relax = yield;
	c->pool = (struct frame_pool){
		.frames = calloc(n, sizeof(struct frame)),
		.base_pfn = CROWD_BASE >> PAGE_SHIFT,
		.nframes = n,
		.virt_offset = (uintptr_t)tables - CROWD_BASE,
	};
	if (!tables || !c->pool.frames)
		abort();
	for (unsigned int i = 0; i < CROWD_CPUS; i++)
		init_cpu(c, i, tables_each, seed);
	if (ept_init(&c->ept, fmt, &crowd_ops, c, &c->pool, PG_LEVEL_1G))
		abort();
	for (unsigned int i = 0; i < CROWD_CPUS; i++)
		ept_gather_init(&c->cpu[i].gather, c->cpu[i].me);
	pthread_barrier_init(&c->barrier, NULL, CROWD_CPUS);
}

void crowd_fini(struct crowd *c)
{
	ept_destroy(&c->ept, 0);
	pthread_barrier_destroy(&c->barrier);
	free(frame_virt(&c->pool, hpa(CROWD_BASE)));
	free(c->pool.frames);
}

void crowd_leave(struct crowd_cpu *cpu)
{
	tlb_flush(&cpu->tlb);
	/* All flushes that will ever be asked for are known to it. */
	atomic_store_explicit(&cpu->seen, UINT64_MAX, memory_order_release);
}

void crowd_join(struct crowd_cpu *cpu)
{
	atomic_store(&cpu->seen, atomic_load(&cpu->crowd->generation));
}

void crowd_meet(struct crowd_cpu *cpu)
{
	crowd_leave(cpu);
	pthread_barrier_wait(&cpu->crowd->barrier);
	crowd_join(cpu);
	/* Nobody asks for a flush before all have joined. */
	pthread_barrier_wait(&cpu->crowd->barrier);
}

void crowd_share(struct crowd *c)
{
	struct crowd_cpu *rich = &c->cpu[0], *poor = &c->cpu[0];

	do {
		for (unsigned int i = 0; i < CROWD_CPUS; i++) {
			rich = c->cpu[i].nfree > rich->nfree ? &c->cpu[i] : rich;
			poor = c->cpu[i].nfree < poor->nfree ? &c->cpu[i] : poor;
		}
		if (rich->nfree > poor->nfree + 1)
			poor->free[poor->nfree++] = rich->free[--rich->nfree];
	} while (rich->nfree > poor->nfree + 1);
}

static void *run_cpu(void *arg)
{
	struct crowd_cpu *cpu = arg;

	crowd_meet(cpu);
	cpu->crowd->work(cpu);
	ept_sync(&cpu->gather);
	crowd_leave(cpu);
	return NULL;
}

const char *crowd_run(struct crowd *c, void (*work)(struct crowd_cpu *cpu))
{
	const char *fault = NULL;

	c->work = work;
	for (unsigned int i = 0; i < CROWD_CPUS; i++)
		if (pthread_create(&c->cpu[i].thread, NULL, run_cpu, &c->cpu[i]))
			abort();
	for (unsigned int i = 0; i < CROWD_CPUS; i++)
		pthread_join(c->cpu[i].thread, NULL);
	for (unsigned int i = 0; i < CROWD_CPUS && !fault; i++)
		fault = c->cpu[i].fault[0] ? c->cpu[i].fault : NULL;
	return fault;
}
