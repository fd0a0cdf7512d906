/* SPDX-License-Identifier: MIT */
/*
 * Time: a detector of gaps on each CPU, clocks that never go backwards, sleeps, and rates that
 * stay.
 *
 * A detector runs before everything else on its CPU: it reads the clocks in a loop for a while, and
 * sleeps a little. What it misses in the loop, or comes too late from its sleep, nobody else on
 * this CPU can have used: the CPU itself stood still.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"

#define LOOK_NS    NS_PER_MS
#define PAUSE_NS   (3 * NS_PER_MS)
#define PRIORITY   10
#define RATE_NS    (NS_PER_S / 2)
#define READ_TRIES 16
/* What is allowed. An emulator that lets its CPUs take turns has no common clock but for that. */
#define BETWEEN_CPUS_NS 10000.0
#define RATE_PPM        1000.0

struct instant {
	uint64_t tsc, monotonic, real;
};

struct detector {
	pthread_mutex_t lock; /* protects the gaps */
	struct gap gap[GAPS];
	uint64_t tsc, ns; /* its last reading */
} __attribute__((aligned(64)));

static struct detector detector[CHECK_CPUS_MAX];
static _Atomic uint64_t last_tsc, last_ns; /* the largest that any CPU has read */
static _Atomic double tsc_per_ns;          /* 0: not known yet */
static _Atomic uint64_t late_sleeps;
static struct instant begun;

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t read_clock(clockid_t which)
{
	struct timespec time;

	clock_gettime(which, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void raise_to(_Atomic uint64_t *last, uint64_t value)
{
	uint64_t old = *last;

	while (old < value && !atomic_compare_exchange_weak(last, &old, value))
		;
}

static void backwards(unsigned int cpu, const char *clock, uint64_t from, uint64_t to, double ns)
{
	complain(COUNT_WRONG_CLOCKS, "CPU %u: %s goes back from %llu to %llu, by %.0f ns", cpu,
		 clock, (unsigned long long)from, (unsigned long long)to, ns);
}

static void look_at_tsc(unsigned int cpu, struct detector *d)
{
	uint64_t other = last_tsc, tsc = read_tsc();
	double rate = tsc_per_ns;

	if (d->tsc && planted(PLANT_TSC))
		tsc = d->tsc - 1;
	if (tsc < d->tsc)
		backwards(cpu, "the TSC", d->tsc, tsc, (double)(d->tsc - tsc));
	else if (tsc < other && rate && (double)(other - tsc) > BETWEEN_CPUS_NS * rate)
		backwards(cpu, "the TSC, between CPUs,", other, tsc, (double)(other - tsc) / rate);
	d->tsc = tsc;
	raise_to(&last_tsc, tsc);
}

/* The time. */
static uint64_t look(unsigned int cpu)
{
	struct detector *d = &detector[cpu];
	uint64_t other, ns;

	look_at_tsc(cpu, d);
	other = last_ns;
	ns = now_ns();
	if (d->ns && planted(PLANT_CLOCK))
		ns = d->ns - 50000;
	if (ns < d->ns)
		backwards(cpu, "CLOCK_MONOTONIC", d->ns, ns, (double)(d->ns - ns));
	else if (ns < other && (double)(other - ns) > BETWEEN_CPUS_NS)
		backwards(cpu, "CLOCK_MONOTONIC, between CPUs,", other, ns, (double)(other - ns));
	d->ns = ns;
	raise_to(&last_ns, ns);
	count(COUNT_CLOCKS);
	return ns;
}

static void insert(struct gap gap[GAPS], struct gap new)
{
	for (unsigned int i = 0; i < GAPS; i++) {
		if (gap[i].ns < new.ns) {
			struct gap smaller = gap[i];

			gap[i] = new;
			new = smaller;
		}
	}
}

static void note(unsigned int cpu, uint64_t ns, uint64_t at)
{
	struct detector *d = &detector[cpu];

	if (ns <= d->gap[GAPS - 1].ns)
		return;
	pthread_mutex_lock(&d->lock);
	insert(d->gap, (struct gap){ ns, at, cpu });
	pthread_mutex_unlock(&d->lock);
}

static void *detect(void *argument)
{
	unsigned int cpu = (unsigned int)(uintptr_t)argument;
	struct sched_param first = { .sched_priority = PRIORITY };
	uint64_t before, now;

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
	now = look(cpu);
	while (!check.stop) {
		for (uint64_t end = now + LOOK_NS; now < end;) {
			before = now;
			now = look(cpu);
			note(cpu, now - before, now);
		}
		before = now;
		sleep_ns(PAUSE_NS);
		now = look(cpu);
		if (now > before + PAUSE_NS)
			note(cpu, now - before - PAUSE_NS, now);
	}
	return NULL;
}

static void *doze(void *argument)
{
	uint64_t n = (uint64_t)(uintptr_t)argument << 32;

	while (!check.stop) {
		uint64_t ns = NS_PER_MS + mix(n++) % (9 * NS_PER_MS), before = now_ns(), slept;

		sleep_ns(ns);
		slept = now_ns() - before;
		if (planted(PLANT_SLEEP))
			slept = ns - 1;
		if (slept < ns)
			complain(COUNT_WRONG_SLEEPS, "a sleep of %llu ns took %llu ns",
				 (unsigned long long)ns, (unsigned long long)slept);
		late_sleeps += slept > ns + check.late_ns;
		count(COUNT_SLEEPS);
	}
	return NULL;
}

/* All clocks at once, or as near as that can be had. */
static struct instant take(void)
{
	struct instant best = { 0, 0, 0 };
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < READ_TRIES; i++) {
		uint64_t first = read_tsc(), ns = now_ns(), real = read_clock(CLOCK_REALTIME);
		uint64_t width = read_tsc() - first;

		if (width < shortest)
			best = (struct instant){ first + width / 2, ns, real };
		shortest = width < shortest ? width : shortest;
	}
	return best;
}

static double rate(const struct instant *a, const struct instant *b)
{
	return (double)(b->tsc - a->tsc) / (double)(b->monotonic - a->monotonic);
}

void clock_start(void)
{
	for (unsigned int cpu = 0; cpu < check.cpus; cpu++) {
		pthread_mutex_init(&detector[cpu].lock, NULL);
		start(detect, (void *)(uintptr_t)cpu, (int)cpu, 0);
		start(doze, (void *)(uintptr_t)cpu, (int)cpu, 0);
	}
}

void clock_begin(void)
{
	struct instant first = take();

	sleep_ns(RATE_NS);
	begun = take();
	tsc_per_ns = rate(&first, &begun);
	for (unsigned int cpu = 0; cpu < check.cpus; cpu++) {
		pthread_mutex_lock(&detector[cpu].lock);
		for (unsigned int i = 0; i < GAPS; i++)
			detector[cpu].gap[i] = (struct gap){ 0, 0, cpu };
		pthread_mutex_unlock(&detector[cpu].lock);
	}
}

void clock_end(void)
{
	struct instant end = take();
	double ppm = fabs(rate(&begun, &end) / tsc_per_ns - 1) * 1e6;
	double steady = (double)(end.monotonic - begun.monotonic);
	double apart = fabs((double)(end.real - begun.real) - steady);

	if (planted(PLANT_RATE))
		ppm += 2 * RATE_PPM;
	if (ppm > RATE_PPM)
		complain(COUNT_WRONG_CLOCKS,
			 "the TSC's rate against CLOCK_MONOTONIC is off by %.0f ppm", ppm);
	if (apart > steady * RATE_PPM / 1e6 + (double)NS_PER_MS)
		complain(COUNT_WRONG_CLOCKS, "CLOCK_REALTIME is %.0f us apart from CLOCK_MONOTONIC",
			 apart / 1e3);
	if (late_sleeps * 2 > check.count[COUNT_SLEEPS])
		complain(COUNT_WRONG_SLEEPS, "%llu of %llu sleeps took over %llu ms too long",
			 (unsigned long long)late_sleeps,
			 (unsigned long long)check.count[COUNT_SLEEPS],
			 (unsigned long long)(check.late_ns / NS_PER_MS));
	printf("selfcheck: TSC %.3f MHz, off by %.1f ppm of its rate at first; %llu of %llu sleeps "
	       "over %llu ms too long\n",
	       tsc_per_ns * 1e3, ppm, (unsigned long long)late_sleeps,
	       (unsigned long long)check.count[COUNT_SLEEPS],
	       (unsigned long long)(check.late_ns / NS_PER_MS));
}

void clock_gaps(unsigned int cpu, struct gap gap[GAPS])
{
	for (unsigned int i = 0; i < GAPS; i++)
		gap[i] = (struct gap){ 0, 0, 0 };
	for (unsigned int c = 0; c < check.cpus; c++) {
		if (cpu != check.cpus && cpu != c)
			continue;
		pthread_mutex_lock(&detector[c].lock);
		for (unsigned int i = 0; i < GAPS; i++)
			insert(gap, detector[c].gap[i]);
		pthread_mutex_unlock(&detector[c].lock);
	}
}
