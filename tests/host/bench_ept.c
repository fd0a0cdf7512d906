/* SPDX-License-Identifier: MIT */
/*
 * What the table work of an arrival and of a collapse costs, beside the copy of a page in the same
 * run. Real frames, real table cache, no other CPU, a flush that does nothing. Prints a table and
 * one line of JSON; medians of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ept/ept.h"
#include "mm/table_cache.h"
#include "tests/host/arena.h"

#define ROUNDS   9
#define F_2M     512u
#define F_1G     (512u * 512u)
#define GUEST    (UINT64_C(1) << 40) /* backing: entries only, never touched */
#define COPY_MIB 256                 /* memory that is copied from, and to */

enum figure {
	COPY,
	ARRIVAL,
	ARRIVAL_SCATTERED,
	COLLAPSE_2M,
	COLLAPSE_1G,
	FIGURES,
};

static const char *const names[FIGURES] = {
	[COPY] = "copy_4k",
	[ARRIVAL] = "arrival_4k",
	[ARRIVAL_SCATTERED] = "arrival_4k_scattered",
	[COLLAPSE_2M] = "collapse_512",
	[COLLAPSE_1G] = "collapse_gib",
};

static double ns[FIGURES][ROUNDS];
static struct arena arena;
static struct table_cache tables;
static struct ept ept;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_ept: %s failed\n", what);
	exit(1);
}

static int alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	return table_alloc(ctx, cpu, table);
}

static void give_back(void *ctx, unsigned int cpu, hpa_t table)
{
	table_free(ctx, cpu, table);
}

static void flush(void *ctx, unsigned int cpu)
{
	(void)ctx;
	(void)cpu;
}

static const struct ept_ops ops = { .table_alloc = alloc, .table_free = give_back, .flush = flush };

/* Each page to a place of its own, all of which the host has backed before. */
static void copy(unsigned int round)
{
	static uint8_t *from, *to;
	const size_t bytes = COPY_MIB * MIB;
	double start;

	if (!from) {
		from = aligned_alloc(PAGE_SIZE, bytes);
		to = aligned_alloc(PAGE_SIZE, bytes);
		must(from && to, "memory");
		memset(from, 1, bytes);
		memset(to, 2, bytes);
	}
	start = now();
	for (size_t at = 0; at < bytes; at += PAGE_SIZE)
		memcpy(to + at, from + at, PAGE_SIZE);
	ns[COPY][round] = (now() - start) / (double)(bytes / PAGE_SIZE);
}

/* All pages of a GiB, in steps of `stride`, which is odd. */
static void arrive(enum figure figure, unsigned int round, uint32_t stride)
{
	struct ept_cpu *me = ept_cpu(&ept, 0);
	double start = now();
	uint32_t gfn = 0;

	for (uint32_t i = 0; i < F_1G; i++, gfn = (gfn + stride) % F_1G) {
		struct ept_claim claim;

		must(ept_fill(me, gfn, PG_LEVEL_4K, &claim) == 0, "fill");
		(void)ept_publish(me, &claim);
	}
	ns[figure][round] = (now() - start) / F_1G;
}

static void collapse(unsigned int round)
{
	struct ept_gather g;
	double start = now(), after_2m;

	ept_gather_init(&g, ept_cpu(&ept, 0));
	/* All but the last, which would take the level above along. */
	for (uint32_t gfn = 0; gfn < F_1G - F_2M; gfn += F_2M)
		must(ept_collapse(ept_cpu(&ept, 0), gfn, PG_LEVEL_2M, &g) == 1, "collapse");
	after_2m = now();
	must(ept_collapse(ept_cpu(&ept, 0), F_1G - F_2M, PG_LEVEL_2M, &g) == 2,
	     "collapse to 1 GiB");
	ept_sync(&g);
	ns[COLLAPSE_2M][round] = (after_2m - start) / 511;
	ns[COLLAPSE_1G][round] = now() - start;
}

static void map(void)
{
	must(ept_map(ept_cpu(&ept, 0), 0, F_1G, hpa(GUEST), EPT_RWX, EPT_WB, EPT_ABSENT) == 0,
	     "map");
}

static void unmap(void)
{
	struct ept_gather g;

	ept_gather_init(&g, ept_cpu(&ept, 0));
	must(ept_unmap(ept_cpu(&ept, 0), 0, F_1G, &g) == 0, "unmap");
	ept_sync(&g);
}

static void one_round(unsigned int round)
{
	copy(round);
	map();
	arrive(ARRIVAL, round, 1);
	collapse(round);
	unmap();
	map();
	arrive(ARRIVAL_SCATTERED, round, 77777);
	unmap();
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(void)
{
	double median[FIGURES];

	printf("%-22s %12s %12s %12s\n", "ns", "median", "best", "worst");
	for (int i = 0; i < FIGURES; i++) {
		qsort(ns[i], ROUNDS, sizeof(ns[i][0]), compare);
		median[i] = ns[i][ROUNDS / 2];
		printf("%-22s %12.1f %12.1f %12.1f\n", names[i], median[i], ns[i][0],
		       ns[i][ROUNDS - 1]);
	}
	printf("table work of an arrival: %.1f %% of the copy (scattered: %.1f %%); aim: below 10 %%\n",
	       100 * median[ARRIVAL] / median[COPY],
	       100 * median[ARRIVAL_SCATTERED] / median[COPY]);
	printf("a collapse of 512 entries: %.0f ns; aim: below 1000 ns\n", median[COLLAPSE_2M]);
	printf("{\"bench\": \"ept\"");
	for (int i = 0; i < FIGURES; i++)
		printf(", \"%s_ns\": %.1f", names[i], median[i]);
	printf(", \"arrival_of_copy\": %.4f}\n", median[ARRIVAL] / median[COPY]);
}

int main(void)
{
	arena_init(&arena, 8192, false);
	table_cache_init(&tables, &arena.pool);
	must(table_reserve(&tables, 600) == 0, "reserve");
	must(ept_init(&ept, &ept_format_intel, &ops, &tables, &arena.pool, PG_LEVEL_1G) == 0,
	     "ept_init");
	one_round(0); /* the host backs the memory */
	for (unsigned int round = 0; round < ROUNDS; round++)
		one_round(round);
	report();
	return 0;
}
