/* SPDX-License-Identifier: MIT */
/* The figures of the host's benchmarks, and how they are shown. See tests/host/bench.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/host/bench.h"

#define ROUNDS_LEAST 9 /* for a verdict */

struct row {
	const char *name;
	const char *unit;
	const char *what;
	double aim;    /* 0: none */
	bool at_least; /* or else: at most */
};

#define TWO(id, key, text, cpu_aim)                                                                \
	[id] = { key, "x", text ", CPU time", cpu_aim, true },                                     \
	[id##_WALL] = { key "_wall", "x", text ", wall clock", 0, true }

static const struct row rows[FIGURES] = {
	[COPY_4K] = { "copy_4k", "ns", "copy of 4 KiB", 0, false },
	[ARRIVAL_4K] = { "arrival_4k", "ns", "arrival of 4 KiB, in order", 0, false },
	[ARRIVAL_4K_SCATTERED] = { "arrival_4k_scattered", "ns", "the same, scattered over 1 GiB",
				   0, false },
	[COLLAPSE_512] = { "collapse_512", "ns", "collapse of 512 entries", 1000, false },
	[COLLAPSE_GIB] = { "collapse_gib", "us", "collapse of 1 GiB of 4 KiB leaves", 1000, false },
	[COLLAPSE_GIB_FLUSHES] = { "collapse_gib_flushes", "", "its flushes", 8, false },
	[SPLIT_GIB] = { "split_gib", "us", "split ahead and mark: 1 GiB leaf to 4 KiB", 0, false },
	[MARK_GIB] = { "mark_gib", "us", "mark 1 GiB of 4 KiB leaves", 0, false },
	[COLLECT_GIB_NONE] = { "collect_gib_none", "us", "collect 1 GiB, nothing dirty", 0, false },
	[COLLECT_GIB_1PCT] = { "collect_gib_1pct", "us", "collect 1 GiB, 1 % dirty", 0, false },
	[COLLECT_GIB_ALL] = { "collect_gib_all", "us", "collect 1 GiB, all dirty", 0, false },
	[UNTRACK_GIB] = { "untrack_gib", "us", "take 1 GiB's marks away", 0, false },
	[RECOVER_GIB] = { "recover_gib", "us", "recover: that, and back to one leaf", 0, false },
	[RECOVER_GIB_FLUSHES] = { "recover_gib_flushes", "", "its flushes", 8, false },
	[RECOVER_2M] = { "recover_2m", "ns", "recover 2 MiB, with its own flush", 0, false },
	[ARRIVAL_APART] = { "arrival_apart", "ns", "arrival, 2 threads, an address space each", 0,
			    false },
	[ENTRY_SHARED] = { "entry_shared", "ns", "an entry of a shared array costs more, by", 0,
			   false },
	TWO(TWO_DIFFERENT, "two_different", "shared : apart, different 2 MiB", 0.98),
	TWO(TWO_SAME, "two_same", "shared : apart, same 2 MiB", 0.8),
	TWO(TWO_ENTRIES, "two_entries", "shared : apart, a bare array", 0),
	TWO(TWO_COPY_SAME, "two_copy_same", "shared : apart, same 2 MiB with copy", 0.98),
	[TWO_TWICE] = { "two_twice", "", "pages that both want, not placed once", 0, false },
};

static double noted[FIGURES][BENCH_ROUNDS_MAX];
static unsigned int rounds[FIGURES];

void figure_note(enum figure figure, double value)
{
	must(rounds[figure] < BENCH_ROUNDS_MAX, "room for one more round");
	noted[figure][rounds[figure]++] = value;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double figure_median(enum figure figure)
{
	must(rounds[figure] > 0, "a figure's measurement");
	qsort(noted[figure], rounds[figure], sizeof(double), compare);
	return noted[figure][rounds[figure] / 2];
}

static double highest(enum figure figure)
{
	return noted[figure][rounds[figure] - 1];
}

static const char *verdict(const struct row *row, double median)
{
	if (!row->aim)
		return "";
	if (rounds[row - rows] < ROUNDS_LEAST)
		return "(too few rounds)";
	return (row->at_least ? median >= row->aim : median <= row->aim) ? "met" : "MISSED";
}

static void show(enum figure figure)
{
	const struct row *row = &rows[figure];
	double median;
	int digits = row->unit[0] == 'x' ? 2 : row->unit[0] ? 1 : 0;

	if (!rounds[figure]) {
		printf("%-48s not measured: other work had the CPUs\n", row->what);
		return;
	}
	median = figure_median(figure);
	printf("%-48s %-3s %9.*f %9.*f %9.*f %6u", row->what, row->unit, digits, median, digits,
	       noted[figure][0], digits, highest(figure), rounds[figure]);
	if (row->aim)
		printf("  %s %g %s", row->at_least ? ">=" : "<=", row->aim, verdict(row, median));
	printf("\n");
}

static void write_json(const char *path)
{
	FILE *file = fopen(path, "w");
	const char *before = "{";

	must(file, path);
	for (enum figure i = 0; i < FIGURES; i++) {
		if (!rounds[i])
			continue;
		fprintf(file,
			"%s\n \"%s\": {\"unit\": \"%s\", \"median\": %.3f, \"low\": %.3f, "
			"\"high\": %.3f, \"rounds\": %u, \"what\": \"%s\"}",
			before, rows[i].name, rows[i].unit, figure_median(i), noted[i][0],
			highest(i), rounds[i], rows[i].what);
		before = ",";
	}
	fprintf(file, "\n}\n");
	must(fclose(file) == 0, path);
}

void figures_report(const char *path)
{
	double copy = figure_median(COPY_4K);

	printf("%-48s %-3s %9s %9s %9s %6s  %s\n", "on this host", "", "median", "lowest",
	       "highest", "rounds", "aim");
	for (enum figure i = 0; i < FIGURES; i++)
		show(i);
	printf("table work of an arrival: %.1f %% of the copy (scattered: %.1f %%); aim: below 10 %%\n",
	       100 * figure_median(ARRIVAL_4K) / copy,
	       100 * figure_median(ARRIVAL_4K_SCATTERED) / copy);
	printf("shared : apart: what two threads do in one address space, in what they do in one "
	       "each, at the same time\n");
	if (path)
		write_json(path);
}

void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench: %s failed\n", what);
	exit(1);
}
