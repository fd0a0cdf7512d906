/* SPDX-License-Identifier: MIT */
/*
 * Two threads against one, at the same arrivals: into different 2 MiB ranges, alternately; into the
 * same range, scattered entries of it; with and without the copy of a page's contents. What could
 * be had at best is measured in the same rounds: a loop that touches no memory, and an address
 * space for each thread, with nothing shared.
 *
 * One and two alternate. The ratio is that of the wall clock; that of the processor's time beside
 * it (the slower thread's) is what two CPUs would do that nobody else uses.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/bench.h"

#define ROUNDS      21
#define RANGES      512u /* of 2 MiB */
#define RANGES_COPY 128u
#define COPY_PAGES  (RANGES_COPY * F_2M)
#define SPINS       (8u << 20)

struct plan;

struct worker {
	const struct plan *plan;
	unsigned int id;
	struct space *space;
	double start, end, cpu, waited;
	_Atomic unsigned int at; /* the range that it is in */
} __attribute__((aligned(2 * CACHE_LINE)));

struct plan {
	void (*work)(struct worker *me);
	unsigned int ranges;
	bool copy;
	bool apart;
	unsigned int threads;
};

static struct worker workers[2];
static _Atomic unsigned int ready __attribute__((aligned(2 * CACHE_LINE)));
static int cpus[2];
static bool two_cpus;
static struct space spaces[2];
static uint8_t *from, *to;

static void find_cpus(void)
{
	unsigned int n = 0;
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set) == 0, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	two_cpus = n == 2;
}

static void pin(unsigned int id)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[two_cpus ? id : 0], &set);
	must(pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0, "pinning");
}

/* --- what they do ------------------------------------------------------------------------- */

static void arrive(struct worker *me, gfn_t gfn)
{
	struct ept_cpu *cpu = ept_cpu(&me->space->ept, me->id);
	struct ept_claim claim;

	must(ept_fill(cpu, gfn, PG_LEVEL_4K, &claim) == 0, "fill");
	if (me->plan->copy)
		memcpy(to + gfn * PAGE_SIZE, from + gfn * PAGE_SIZE, PAGE_SIZE);
	(void)ept_publish(cpu, &claim);
}

static void different(struct worker *me)
{
	for (gfn_t r = me->id; r < me->plan->ranges; r += me->plan->threads)
		for (gfn_t i = 0; i < F_2M; i++)
			arrive(me, r * F_2M + i);
}

/* No thread begins a range before the other does. Time lost to a thread that has no CPU just now is
 * no work. */
static void meet(struct worker *me, unsigned int range)
{
	const struct worker *other = &workers[!me->id];
	unsigned int patience = 10000;
	double start = 0;

	atomic_store_explicit(&me->at, range, memory_order_relaxed);
	if (me->plan->threads == 1)
		return;
	while (atomic_load_explicit(&other->at, memory_order_relaxed) < range) {
		__builtin_ia32_pause();
		if (patience && !--patience)
			start = now();
	}
	if (!patience)
		me->waited += now() - start;
}

/* In an order in which neighbours in time lie in different cache lines, as requests come. */
static void same(struct worker *me)
{
	for (unsigned int r = 0; r < me->plan->ranges; r++) {
		meet(me, r);
		for (gfn_t i = me->id; i < F_2M; i += me->plan->threads)
			arrive(me, r * F_2M + i * 77 % F_2M);
	}
}

static void spin(struct worker *me)
{
	for (unsigned int i = 0; i < SPINS / me->plan->threads; i++)
		__asm__ volatile("");
}

/* --- measuring ---------------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct worker *me = arg;
	double cpu;

	pin(me->id);
	atomic_fetch_add(&ready, 1);
	while (atomic_load(&ready) < me->plan->threads)
		__builtin_ia32_pause();
	cpu = now();
	me->start = clock_ns(CLOCK_MONOTONIC);
	me->plan->work(me);
	me->end = clock_ns(CLOCK_MONOTONIC);
	me->cpu = now() - cpu - me->waited;
	return NULL;
}

struct took {
	double wall, cpu;
};

static struct took measure(struct plan plan, unsigned int threads)
{
	struct took took = { 0, 0 };
	pthread_t thread[2];

	plan.threads = threads;
	space_map(&spaces[0], EPT_ABSENT);
	space_map(&spaces[1], EPT_ABSENT);
	atomic_store(&ready, 0);
	for (unsigned int i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .plan = &plan,
					      .id = i,
					      .space = &spaces[plan.apart ? i : 0] };
	}
	for (unsigned int i = 0; i < threads; i++)
		must(pthread_create(&thread[i], NULL, run, &workers[i]) == 0, "pthread_create");
	for (unsigned int i = 0; i < threads; i++)
		must(pthread_join(thread[i], NULL) == 0, "pthread_join");
	for (unsigned int i = 0; i < threads; i++) {
		took.wall = MAX(took.wall, workers[i].end - workers[0].start);
		took.wall = MAX(took.wall, workers[i].end - workers[threads - 1].start);
		took.cpu = MAX(took.cpu, workers[i].cpu);
	}
	space_unmap(&spaces[0]);
	space_unmap(&spaces[1]);
	return took;
}

static void compare(const struct plan *plan, enum figure figure)
{
	struct took one = measure(*plan, 1), two = measure(*plan, 2);

	figure_note(figure, one.wall / two.wall);
	figure_note(figure + 1, one.cpu / two.cpu);
	if (figure == TWO_DIFFERENT)
		figure_note(ARRIVAL_ONE_THREAD, one.wall / (RANGES * F_2M));
}

void bench_threads(void)
{
	static const struct {
		enum figure figure;
		struct plan plan;
	} plans[] = {
		{ TWO_SPIN, { .work = spin } },
		{ TWO_APART, { .work = different, .ranges = RANGES, .apart = true } },
		{ TWO_DIFFERENT, { .work = different, .ranges = RANGES } },
		{ TWO_SAME, { .work = same, .ranges = RANGES } },
		{ TWO_COPY_APART,
		  { .work = different, .ranges = RANGES_COPY, .copy = true, .apart = true } },
		{ TWO_COPY_DIFFERENT, { .work = different, .ranges = RANGES_COPY, .copy = true } },
		{ TWO_COPY_SAME, { .work = same, .ranges = RANGES_COPY, .copy = true } },
	};

	find_cpus();
	if (!two_cpus)
		printf("only one CPU is allowed here: two threads share it\n");
	from = aligned_alloc(PAGE_SIZE, COPY_PAGES * PAGE_SIZE);
	to = aligned_alloc(PAGE_SIZE, COPY_PAGES * PAGE_SIZE);
	must(from && to, "memory");
	memset(from, 1, COPY_PAGES * PAGE_SIZE);
	memset(to, 2, COPY_PAGES * PAGE_SIZE);
	space_init(&spaces[0]);
	space_init(&spaces[1]);
	(void)measure(plans[1].plan, 2); /* the host backs the memory */
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_LEN(plans); i++)
			compare(&plans[i].plan, plans[i].figure);
	free(from);
	free(to);
}
