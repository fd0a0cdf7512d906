/* SPDX-License-Identifier: MIT */
/*
 * What the table work of an arrival and of a collapse costs, beside the copy of a page in the same
 * run; then dirty tracking (bench_track.c) and two threads (bench_threads.c). Prints a table.
 *
 * usage: bench_ept [FILE]	FILE gets the same figures as JSON
 *        bench_ept --once	one round, as a test that all can be measured: a line of TAP
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/bench.h"

#define ROUNDS         9
#define ROUNDS_THREADS 101 /* short ones */
#define COPY_MIB       256 /* memory that is copied from, and to */

static int alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	struct space *space = ctx;

	return table_alloc(&space->tables, cpu, table);
}

static void give_back(void *ctx, unsigned int cpu, hpa_t table)
{
	struct space *space = ctx;

	table_free(&space->tables, cpu, table);
}

static void flush(void *ctx, unsigned int cpu)
{
	struct space *space = ctx;

	(void)cpu;
	space->flushes++;
}

static const struct ept_ops ops = { .table_alloc = alloc, .table_free = give_back, .flush = flush };

void space_init(struct space *space)
{
	arena_init(&space->arena, 8192, false);
	table_cache_init(&space->tables, &space->arena.pool);
	must(table_reserve(&space->tables, 600) == 0, "reserve");
	must(ept_init(&space->ept, &ept_format_intel, &ops, space, &space->arena.pool,
		      PG_LEVEL_1G) == 0,
	     "ept_init");
}

void space_map(struct space *space, enum ept_kind kind)
{
	must(ept_map(ept_cpu(&space->ept, 0), 0, F_1G, hpa(GUEST), EPT_RWX, EPT_WB, kind) == 0,
	     "map");
}

void space_unmap(struct space *space)
{
	struct ept_gather g;

	ept_gather_init(&g, ept_cpu(&space->ept, 0));
	must(ept_unmap(ept_cpu(&space->ept, 0), 0, F_1G, &g) == 0, "unmap");
	ept_sync(&g);
}

/* Each page to a place of its own, all of which the host has backed before. */
static double copy(void)
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
	return (now() - start) / (double)(bytes / PAGE_SIZE);
}

/* All pages of a GiB, in steps of `stride`, which is odd. Per page. */
static double arrive(struct space *space, uint32_t stride)
{
	struct ept_cpu *me = ept_cpu(&space->ept, 0);
	double start = now();
	uint32_t gfn = 0;

	for (uint32_t i = 0; i < F_1G; i++, gfn = (gfn + stride) % F_1G) {
		struct ept_claim claim;

		must(ept_fill(me, gfn, PG_LEVEL_4K, &claim) == 0, "fill");
		(void)ept_publish(me, &claim);
	}
	return (now() - start) / F_1G;
}

/* One after another, and how long all of them took. */
static void collapse(struct space *space, bool note)
{
	struct ept_cpu *me = ept_cpu(&space->ept, 0);
	uint64_t flushes = space->flushes;
	double start = now(), after_2m, end;
	struct ept_gather g;

	ept_gather_init(&g, me);
	/* All but the last, which would take the level above along. */
	for (uint32_t gfn = 0; gfn < F_1G - F_2M; gfn += F_2M)
		must(ept_collapse(me, gfn, PG_LEVEL_2M, &g) == 1, "collapse");
	after_2m = now();
	must(ept_collapse(me, F_1G - F_2M, PG_LEVEL_2M, &g) == 2, "collapse to 1 GiB");
	ept_sync(&g);
	end = now();
	if (!note)
		return;
	figure_note(COLLAPSE_512, (after_2m - start) / 511);
	figure_note(COLLAPSE_GIB, (end - start) / 1e3);
	figure_note(COLLAPSE_GIB_FLUSHES, (double)(space->flushes - flushes));
}

static void one_round(struct space *space, bool note)
{
	double copied = copy(), in_order, scattered;

	space_map(space, EPT_ABSENT);
	in_order = arrive(space, 1);
	collapse(space, note);
	space_unmap(space);
	space_map(space, EPT_ABSENT);
	scattered = arrive(space, 77777);
	space_unmap(space);
	if (!note)
		return;
	figure_note(COPY_4K, copied);
	figure_note(ARRIVAL_4K, in_order);
	figure_note(ARRIVAL_4K_SCATTERED, scattered);
}

int main(int argc, char **argv)
{
	bool once = argc > 1 && strcmp(argv[1], "--once") == 0;
	static struct space space;

	space_init(&space);
	one_round(&space, false); /* the host backs the memory */
	for (unsigned int round = 0; round < (once ? 1 : ROUNDS); round++) {
		one_round(&space, true);
		bench_track(&space);
	}
	bench_threads(once ? 1 : ROUNDS_THREADS);
	if (once)
		printf("1..1\nok 1 - bench_ept: each figure is measured, and no page comes twice\n");
	else
		figures_report(argc > 1 ? argv[1] : NULL);
	return 0;
}
