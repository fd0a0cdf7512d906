/* SPDX-License-Identifier: MIT */
/*
 * Runs a few CPUs' work in all orders that differ by few preemptions. The sources under test are
 * compiled with -fsanitize=thread but linked with our own functions behind it (interleave_hooks.c),
 * so that each access to an entry or to a table's counters is a place where another CPU may run.
 *
 * What is watched at each such place: nobody touches a table page that was freed, and hardware
 * finds each page that must be there, where it must be.
 */
#ifndef TESTS_HOST_MODEL_INTERLEAVE_H
#define TESTS_HOST_MODEL_INTERLEAVE_H

#include "tests/host/model/crowd.h"

#define INTERLEAVE_PAGES  16
#define INTERLEAVE_CPUS   3
#define INTERLEAVE_TABLES 160 /* table pages of each CPU */

struct scene {
	const char *name;
	unsigned int ncpus;
	unsigned int preemptions; /* at most, in one run */
	/* On CPU 0, with nobody else. The region [0, 16) is not mapped yet. */
	void (*setup)(struct crowd_cpu *cpu);
	void (*act[INTERLEAVE_CPUS])(struct crowd_cpu *cpu);
	/* After all have acted and synced. */
	void (*check)(struct crowd_cpu *cpu);
	uint32_t steady; /* bit n: page n is present all the time */
};

/* True if all is well in all orders; otherwise it has printed what is wrong, and in which. */
bool interleave(const struct scene *scene);

/* --- for interleave_hooks.c --- */

enum interleave_kind {
	INTERLEAVE_PLAIN,
	INTERLEAVE_LOAD,
	INTERLEAVE_CHANGE
};

/* Is called before each access. */
void interleave_access(const void *at, enum interleave_kind kind);

#endif
