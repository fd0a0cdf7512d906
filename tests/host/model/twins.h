/* SPDX-License-Identifier: MIT */
/*
 * Two address spaces side by side, one in Intel's format and one in AMD's. Each step is done to
 * both, with the same table pages at hand and the same allocation failing; guest memory lies at
 * different addresses. Whatever the two answer must be the same, and so must be what every entry of
 * every table says, as each hardware reads it.
 *
 * Hardware's accesses set accessed and dirty bits on their way. A walk starts at the root or at a
 * pointer to a table that the CPU remembers from an earlier walk, until a flush.
 */
#ifndef TESTS_HOST_MODEL_TWINS_H
#define TESTS_HOST_MODEL_TWINS_H

#include "tests/host/model/bits.h"
#include "tests/host/model/world.h"

#define TWIN_ENTRIES   512
#define TWIN_PHYS_BITS 46
#define TWIN_POINTERS  8
#define TWIN_KEPT      16 /* steps that are told when something is wrong */

struct twins;

struct twin {
	struct twins *pair;
	const struct hardware *hw;
	uint64_t backing; /* address of guest memory's first frame */
	struct ept ept;
	struct ept_gather gather; /* of CPU 0, which does all but STEP_FILL and what follows it */
	struct ept_claim claim;   /* of CPU 1 */
	struct ept_frozen frozen;
	struct frame_pool pool;
	uint64_t (*seen)[TWIN_ENTRIES]; /* the tables as they were compared last */
	unsigned int allocs;            /* in this step */
	unsigned int flushes;
	unsigned int npointers; /* ever remembered since the flush; the last ones are kept */
	struct tlb_pointer pointer[TWIN_POINTERS];
};

struct twins {
	struct twin intel, amd;
	unsigned int ntables;
	uint8_t *level; /* of each table page when it was compared last; 0: it was free */
	bool claimed;
	bool is_frozen;
	unsigned int fail_at;
	const struct step *step; /* under way */
	uint64_t done;           /* steps */
	uint64_t starved;        /* steps that ended for want of a table */
	uint64_t count[STEP_CODES];
	struct step last[TWIN_KEPT];
	unsigned int last_fail_at[TWIN_KEPT];
	char fault[192]; /* empty: none */
};

/* @amd: ept_format_amd, or one that shall be found out. @ntables: table pages of each. */
void twins_init(struct twins *t, const struct ept_format *amd, enum pg_level leaf_max,
		unsigned int ntables);

/* Large leaves cannot be executed: before anything is mapped. */
void twins_set_nx(struct twins *t);

/* Takes both down, after a sync if there was no fault; t->fault says if a table page is left over.
 */
void twins_fini(struct twins *t);

/* Whether the step makes sense now: it would not wait for somebody who never comes. */
bool twins_allow(const struct twins *t, const struct step *s);

/**
 * twins_step() - does a step to both and compares answers, counters and all entries that changed.
 * The steps are those of model/world.h, but for the clone's; a touch's `perms` say what kind of
 * access it is.
 * @fail_at: this allocation of the step fails; 0: none does
 * Return: false, and t->fault says why, if they differ.
 */
bool twins_step(struct twins *t, const struct step *s, unsigned int fail_at);

/* Compares censuses and lookups of a range; and runs the checker on both, where nobody claims. */
bool twins_compare_range(struct twins *t, gfn_t gfn, uint64_t frames);
bool twins_check(struct twins *t);

/* --- twins_compare.c ---------------------------------------------------------------------------
 */

/* All entries that changed since the last time, and the counters. */
bool twins_compare(struct twins *t);

/* Prints the fault and the steps before it. */
void twins_tell(const struct twins *t, const char *what);

void twins_fail(struct twins *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
