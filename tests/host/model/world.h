/* SPDX-License-Identifier: MIT */
/*
 * One address space under test with everything around it: table pages whose life is watched, a CPU
 * with a model TLB, the flat reference, and memory that is one byte for each backing frame.
 *
 * A step is one operation. world_step() does it to the second stage and to the reference and
 * compares results and states; the first thing that differs becomes world->fault.
 */
#ifndef TESTS_HOST_MODEL_WORLD_H
#define TESTS_HOST_MODEL_WORLD_H

#include "ept/ept.h"
#include "mm/err.h"
#include "tests/host/model/reference.h"
#include "tests/host/model/tlb.h"

#define WORLD_TABLES  GIB        /* physical address of the table pages */
#define WORLD_BACKING (64 * GIB) /* and of guest memory */

/* What a page holds: the guest's memory is one byte for each frame. */
enum {
	CONTENT_NONE = 0,
	CONTENT_ARRIVED = 1,
	CONTENT_GUEST = 2
};

enum step_code {
	STEP_MAP,        /* gfn, frames, backing (frames from WORLD_BACKING), perms, kind */
	STEP_UNMAP,      /* gfn, frames */
	STEP_REQUEST,    /* gfn */
	STEP_ARRIVE,     /* gfn, level: fill and publish */
	STEP_ARRIVE_ALL, /* gfn, frames: what is absent there, in the pieces that it has */
	STEP_FILL,       /* gfn, level: by a second CPU, which keeps the claim */
	STEP_PUBLISH,    /* that claim */
	STEP_GIVE_UP,
	STEP_SPLIT, /* gfn, level; hardware writes to `also` in the middle of it if write is set */
	STEP_COLLAPSE,       /* gfn, level */
	STEP_COLLAPSE_RANGE, /* gfn, frames */
	STEP_POISON,         /* gfn */
	STEP_TOUCH,          /* gfn, write, way: the guest's access */
	STEP_SYNC, /* hardware writes to `also` by `way` before it acknowledges, if write */
	STEP_CODES,
};

struct step {
	uint8_t code;
	uint8_t level;
	uint8_t way; /* see tlb.h */
	uint8_t perms;
	uint8_t memtype;
	uint8_t kind;
	bool write;
	uint32_t gfn;
	uint32_t frames;
	uint32_t also;
	uint32_t backing;
};

struct world {
	struct ept ept;
	struct ept_gather gather; /* of CPU 0, which does all but STEP_FILL and what follows it */
	struct ept_claim claim;   /* of CPU 1 */
	bool claimed;
	bool eager; /* after each step the CPU looks at all pages, so it remembers all there is */
	unsigned int
		pending_max; /* no collapse while so many tables wait for a flush; 0: no limit */
	struct tlb tlb;
	struct reference ref;
	struct frame_pool pool;
	struct frame *frames; /* of the table pages */
	uint8_t *tables;      /* their memory */
	unsigned int ntables;
	unsigned int in_use;
	unsigned int allocs;  /* in this step, as well as the next two */
	unsigned int fail_at; /* this allocation fails; 0: none does */
	unsigned int flushes;
	uint64_t changing_from, changing_to; /* pages that the step may unmap */
	const struct step *step;             /* under way */
	uint8_t pouring;                     /* what pages hold that arrive: CONTENT_ARRIVED */
	uint8_t *memory; /* what each backing frame holds; WORLD_BACKING is the first */
	uint64_t nmemory;
	char fault[192]; /* empty: none */
};

/**
 * world_init() - an empty address space.
 * @npages: guest pages that the reference covers
 * @nbacking: frames of guest memory
 * @ntables: table pages that exist
 */
void world_init(struct world *w, const struct ept_format *fmt, enum pg_level leaf_max,
		uint64_t npages, uint64_t nbacking, unsigned int ntables);

/* Takes everything down; w->fault says if something was left over. */
void world_fini(struct world *w);

/* Gives back the memory alone, after a fault. */
void world_free(struct world *w);

/* Whether the step makes sense now: it would not wait for somebody who never comes. */
bool world_allows(const struct world *w, const struct step *s);

/* The guest reads or writes a page, starting the walk as tlb.h says. */
void world_touch(struct world *w, gfn_t gfn, bool write, unsigned int way);

/* Does the step; false, and w->fault says why, if anything is not as it must be. */
bool world_step(struct world *w, const struct step *s);

/* Does the step to the second stage alone, with allocation `nth` failing. It must refuse with
 * -ENOMEM and leave every page as it was. */
bool world_step_fails(struct world *w, const struct step *s, unsigned int nth);

/* Compares everything with the reference; world_step() does so for small worlds by itself. */
bool world_verify(struct world *w);

/* The pages of a range; and what concerns no single page: counters, tables, what CPUs remember. */
bool world_verify_range(struct world *w, gfn_t gfn, uint64_t frames);
bool world_verify_tables(struct world *w);

void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

const char *step_text(const struct step *s, char *buf, size_t bytes);

#endif
