/* SPDX-License-Identifier: MIT */
/*
 * Two threads that place pages in one address space, beside two threads that do the same in an
 * address space each: what they lose is what they share. In different 2 MiB, alternately; in the
 * same 2 MiB, each every other page in an order that is scattered, and with the copy of a page.
 *
 * Other work runs on this host. So the two are measured in turns, in rounds of a millisecond or so,
 * and a figure is the median of the rounds' ratios. Processor time of both threads is what counts;
 * a thread that waits for the other does no work. A thread that loses its CPU leaves the other
 * alone, which then shares nothing: such a round does not count.
 *
 * What is to be lost by the entries alone: beside each page that is placed in an address space of
 * its own, a thread changes an entry of a bare array, by the same compare-and-swap as an arrival,
 * in the same order. The array is shared, or there is one for each; each thread writes all of one
 * before, as a split does: one of the two is used.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/bench.h"

#define RANGES      32u /* of 2 MiB */
#define RANGES_COPY 2u
#define PAGES       (RANGES * F_2M)
#define COPY_BYTES  (RANGES_COPY * F_2M * PAGE_SIZE)
#define PATIENCE    200u   /* looks at the other thread before the wait is timed */
#define IMPATIENT   20000u /* and before the round is given up */
#define AGAIN       3u     /* attempts at one round */
#define ALONE       1.1    /* times its own, of the wall's time: it had no CPU, or was alone */

struct worker;

struct plan {
	void (*work)(struct worker *me);
	unsigned int ranges;
	bool copy;
	bool array;   /* what is shared is an array, and each has an address space */
	bool compete; /* both place every page */
};

struct worker {
	const struct plan *plan;
	unsigned int id;
	struct space *space;
	_Atomic uint64_t *array; /* whose entries it changes */
	double start, end, cpu, waited;
	_Atomic unsigned int at; /* how often it has met the other */
} __attribute__((aligned(2 * CACHE_LINE)));

static struct worker workers[2];
static pthread_barrier_t both;
static _Atomic bool spoilt __attribute__((aligned(2 * CACHE_LINE))); /* this round */
static int cpus[2];
static bool two_cpus;
static struct space spaces[2];
static _Atomic uint64_t *arrays[2];
static uint8_t *from, *to;
static uint8_t came[PAGES]; /* how often; of a page, only its claim's owner writes */

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
	int err;

	if (!me->plan->copy && !me->plan->compete) {
		must(ept_arrive_in_place(cpu, gfn) >= 0, "arrival");
		return;
	}
	err = ept_fill(cpu, gfn, PG_LEVEL_4K, &claim);
	if (me->plan->compete && (err == EPT_HERE || err == EPT_BUSY))
		return;
	must(err == 0, "fill");
	if (me->plan->copy)
		memcpy(to + gfn * PAGE_SIZE, from + gfn * PAGE_SIZE, PAGE_SIZE);
	if (me->plan->compete)
		came[gfn]++;
	(void)ept_publish(cpu, &claim);
}

static void make_entries(const struct worker *me, unsigned int range)
{
	for (gfn_t gfn = range * F_2M; gfn < (range + 1) * F_2M; gfn++)
		atomic_store_explicit(&arrays[me->id][gfn], gfn, memory_order_relaxed);
}

static void enter_in_array(struct worker *me, gfn_t gfn)
{
	uint64_t was = atomic_load_explicit(&me->array[gfn], memory_order_acquire);

	must(atomic_compare_exchange_strong(&me->array[gfn], &was, was + 1), "an entry");
}

/* No thread goes on before the other is here, too; but a round is spoilt where that one has no CPU.
 */
static void meet(struct worker *me)
{
	const struct worker *other = &workers[!me->id];
	unsigned int at = me->at + 1, looks = 0;
	double start = 0;

	atomic_store_explicit(&me->at, at, memory_order_release);
	while (atomic_load_explicit(&other->at, memory_order_acquire) < at) {
		__builtin_ia32_pause();
		if (atomic_load_explicit(&spoilt, memory_order_relaxed))
			return;
		if (++looks == PATIENCE)
			start = now();
		if (looks == IMPATIENT)
			atomic_store_explicit(&spoilt, true, memory_order_relaxed);
	}
	if (looks >= PATIENCE)
		me->waited += now() - start;
}

static void different(struct worker *me)
{
	for (gfn_t r = me->id; r < me->plan->ranges; r += 2)
		for (gfn_t i = 0; i < F_2M; i++)
			arrive(me, r * F_2M + i);
}

/* In an order in which neighbours in time lie in different cache lines, as requests come. */
static void same(struct worker *me)
{
	for (unsigned int r = 0; r < me->plan->ranges; r++) {
		if (me->plan->array)
			make_entries(me, r);
		meet(me);
		for (gfn_t i = me->id; i < F_2M; i += 2) {
			gfn_t gfn = r * F_2M + i * 77 % F_2M;

			arrive(me, gfn);
			if (me->plan->array)
				enter_in_array(me, gfn);
		}
	}
}

static void compete(struct worker *me)
{
	for (unsigned int r = 0; r < me->plan->ranges; r++) {
		meet(me);
		for (gfn_t i = 0; i < F_2M; i++)
			arrive(me, r * F_2M + i * 77 % F_2M);
	}
}

/* --- measuring ---------------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct worker *me = arg;
	double cpu;

	pin(me->id);
	(void)pthread_barrier_wait(&both); /* asleep: who wakes up keeps its CPU for a while */
	meet(me);
	me->waited = 0;
	cpu = now();
	me->start = clock_ns(CLOCK_MONOTONIC);
	me->plan->work(me);
	me->end = clock_ns(CLOCK_MONOTONIC);
	me->cpu = now() - cpu;
	return NULL;
}

/* Nanoseconds for each page. */
struct took {
	double wall, cpu;
	bool whole; /* both had a CPU all the time, and at the same time */
};

static struct took took(double pages)
{
	const struct worker *a = &workers[0], *b = &workers[1];
	double wall = MAX(a->end, b->end) - MIN(a->start, b->start);

	return (struct took){
		.wall = wall / pages,
		.cpu = (a->cpu - a->waited + b->cpu - b->waited) / pages,
		.whole = !spoilt && wall < ALONE * MIN(a->cpu, b->cpu),
	};
}

static struct took measure(const struct plan *plan, bool apart)
{
	double pages = plan->ranges * F_2M;
	pthread_t thread[2];

	space_map(&spaces[0], EPT_ABSENT);
	space_map(&spaces[1], EPT_ABSENT);
	atomic_store(&spoilt, false);
	for (unsigned int i = 0; i < 2; i++)
		workers[i] = (struct worker){
			.plan = plan,
			.id = i,
			.space = &spaces[apart || plan->array ? i : 0],
			.array = arrays[apart ? i : 0],
		};
	for (unsigned int i = 0; i < 2; i++)
		must(pthread_create(&thread[i], NULL, run, &workers[i]) == 0, "pthread_create");
	for (unsigned int i = 0; i < 2; i++)
		must(pthread_join(thread[i], NULL) == 0, "pthread_join");
	space_unmap(&spaces[0]);
	space_unmap(&spaces[1]);
	return took(pages);
}

/* One round; which of the two comes first changes. False: one of them was disturbed. */
static bool compare(const struct plan *plan, enum figure figure, unsigned int round)
{
	struct took took[2]; /* shared, apart */

	for (unsigned int i = 0; i < 2; i++) {
		bool apart = (i + round) % 2;

		took[apart] = measure(plan, apart);
	}
	if (!took[0].whole || !took[1].whole)
		return false;
	figure_note(figure, took[1].cpu / took[0].cpu);
	figure_note(figure + 1, took[1].wall / took[0].wall);
	if (figure == TWO_SAME)
		figure_note(ARRIVAL_APART, took[1].cpu);
	if (plan->array)
		figure_note(ENTRY_SHARED, took[0].cpu - took[1].cpu);
	return true;
}

static void compare_all(const struct plan *plan, enum figure figure, unsigned int rounds)
{
	unsigned int counted = 0;

	for (unsigned int i = 0; i < rounds * AGAIN && counted < rounds; i++)
		counted += compare(plan, figure, counted);
}

/* Both want each page: one of them places it. */
static void count_twice(void)
{
	static const struct plan plan = { .work = compete, .ranges = RANGES, .compete = true };
	unsigned int wrong = 0;

	memset(came, 0, sizeof(came));
	(void)measure(&plan, false);
	for (unsigned int i = 0; i < PAGES; i++)
		wrong += came[i] != 1;
	must(wrong == 0, "placing each page once");
	figure_note(TWO_TWICE, wrong);
}

static void make_memory(void)
{
	from = aligned_alloc(PAGE_SIZE, COPY_BYTES);
	to = aligned_alloc(PAGE_SIZE, COPY_BYTES);
	must(from && to, "memory");
	memset(from, 1, COPY_BYTES);
	memset(to, 2, COPY_BYTES);
	for (unsigned int i = 0; i < 2; i++) {
		arrays[i] = aligned_alloc(PAGE_SIZE, PAGES * sizeof(uint64_t));
		must(arrays[i], "memory");
		memset((void *)arrays[i], 0, PAGES * sizeof(uint64_t));
		space_init(&spaces[i]);
	}
}

void bench_threads(unsigned int rounds)
{
	static const struct {
		enum figure figure;
		struct plan plan;
	} plans[] = {
		{ TWO_DIFFERENT, { .work = different, .ranges = RANGES } },
		{ TWO_SAME, { .work = same, .ranges = RANGES } },
		{ TWO_ENTRIES, { .work = same, .ranges = RANGES, .array = true } },
		{ TWO_COPY_SAME, { .work = same, .ranges = RANGES_COPY, .copy = true } },
	};

	find_cpus();
	if (!two_cpus)
		printf("only one CPU is allowed here: two threads share it\n");
	make_memory();
	must(pthread_barrier_init(&both, NULL, 2) == 0, "pthread_barrier_init");
	(void)measure(&plans[0].plan, true); /* the host backs the memory */
	for (size_t i = 0; i < ARRAY_LEN(plans); i++)
		compare_all(&plans[i].plan, plans[i].figure, rounds);
	for (unsigned int round = 0; round < rounds; round++)
		count_twice();
	free(from);
	free(to);
	free((void *)arrays[0]);
	free((void *)arrays[1]);
}
