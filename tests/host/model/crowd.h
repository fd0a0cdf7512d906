/* SPDX-License-Identifier: MIT */
/*
 * Threads that play CPUs on one address space, for runs under TSan. Each has its own table pages,
 * so that nothing but ept/ itself orders them, and a model TLB.
 *
 * A flush waits until every other CPU has stood between two operations since. There a CPU
 * forgets what its TLB knew. A CPU that waits for its own flush lets the others pass, too.
 */
#ifndef TESTS_HOST_MODEL_CROWD_H
#define TESTS_HOST_MODEL_CROWD_H

#include <pthread.h>

#include "ept/ept.h"
#include "mm/err.h"
#include "tests/host/model/tlb.h"

#define CROWD_CPUS    4
#define CROWD_TABLES  1500       /* table pages of each CPU */
#define CROWD_BASE    GIB        /* physical address of the table pages */
#define CROWD_BACKING (64 * GIB) /* and of guest memory, which is never touched */

struct crowd;

struct crowd_cpu {
	struct crowd *crowd;
	unsigned int id;
	struct ept_cpu *me;
	struct ept_gather gather;
	struct tlb tlb;
	uint64_t random;
	_Atomic uint64_t seen; /* the last flush that it knows of */
	unsigned int nfree;
	hpa_t free[CROWD_CPUS * CROWD_TABLES];
	pthread_t thread;
	char fault[128];
} __attribute__((aligned(CACHE_LINE)));

struct crowd {
	struct ept ept;
	const struct ept *also; /* another address space, on the same table pages; or NULL */
	struct frame_pool pool;
	_Atomic uint64_t generation; /* flushes that were ever asked for */
	pthread_barrier_t barrier;
	struct crowd_cpu cpu[CROWD_CPUS];
	unsigned int ntables; /* table pages, of all CPUs */
	void (*work)(struct crowd_cpu *cpu);
	void (*relax)(void); /* lets others run, where a CPU waits for them */
};

/* @tables: table pages that each CPU has */
void crowd_init(struct crowd *c, const struct ept_format *fmt, unsigned int tables, uint64_t seed);
void crowd_fini(struct crowd *c);

/* A CPU begins to take part; it stops, and walks nothing any more, so that nobody waits for it. */
void crowd_join(struct crowd_cpu *cpu);
void crowd_leave(struct crowd_cpu *cpu);

/* Runs work() on all CPUs at once; they sync at the end. NULL, or the first fault. */
const char *crowd_run(struct crowd *c, void (*work)(struct crowd_cpu *cpu));

/* The CPU stands between two operations. */
void crowd_pause(struct crowd_cpu *cpu);

/* Waits for all CPUs; passes flushes meanwhile. */
void crowd_meet(struct crowd_cpu *cpu);

/* Gives each CPU as many free table pages as the others: they gather where tables are freed. To be
 * called by one while all others wait. */
void crowd_share(struct crowd *c);

uint64_t crowd_random(struct crowd_cpu *cpu, uint64_t below);
void crowd_fail(struct crowd_cpu *cpu, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
