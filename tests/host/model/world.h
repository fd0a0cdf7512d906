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
#include "ept/relocate.h"
#include "mm/err.h"
#include "tests/host/model/reference.h"
#include "tests/host/model/tlb.h"

#define WORLD_TABLES  GIB        /* physical address of the table pages */
#define WORLD_BACKING (64 * GIB) /* and of guest memory */

/* What a page holds: the guest's memory is one byte for each frame. */
enum {
	CONTENT_NONE = 0,
	CONTENT_ARRIVED = 1,
	CONTENT_GUEST = 2,
	CONTENT_ZERO = 3, /* discarded */
	CONTENT_HOST = 4, /* written by the hypervisor */
	CONTENT_LEFT = 5, /* of a frame that nobody is to look at any more */
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
	STEP_SYNC,         /* hardware writes to `also` by `way` before it acknowledges, if write */
	STEP_PROTECT,      /* gfn, frames, perms */
	STEP_DISCARD,      /* gfn, frames */
	STEP_FILL_ZERO,    /* gfn, level: zeros arrive */
	STEP_POISON_RANGE, /* gfn, frames */
	STEP_MOVE,         /* gfn, frames, also: where to */
	STEP_SPLIT_RANGE,  /* gfn, frames, level */
	STEP_TRACK,        /* gfn, frames; write: by faults; otherwise by dirty bits */
	STEP_COLLECT,      /* gfn, frames */
	STEP_UNTRACK,      /* gfn, frames; tracking ends with the last mark */
	STEP_FETCH,        /* gfn, way: the guest executes */
	STEP_RESOLVE,      /* gfn; write, or else it was a fetch */
	STEP_REACH,        /* gfn, write */
	STEP_FREEZE,       /* gfn, level: by one who keeps it */
	STEP_THAW,         /* that one; write: on another frame, with a copy */
	STEP_COPY,         /* gfn: what a write to a shared frame needs, all at once */
	STEP_RECOVER_NX,  /* gfn, frames, level: the budget; write: see STEP_SYNC, but way 0 is none
			   */
	STEP_CLONE,       /* gfn, frames; write: private */
	STEP_CLONE_UNMAP, /* gfn, frames: what follows is done to the clone */
	STEP_CLONE_TOUCH, /* gfn, write, way */
	STEP_CLONE_COPY,  /* gfn */
	STEP_CLONE_FILL,  /* gfn: it arrives in a frame of its own */
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

/* What may follow a world: a second address space with the same memory. */
struct world_clone {
	struct ept ept;
	struct ept_gather gather;
	struct tlb tlb;
	struct reference ref;
	bool waits; /* for the original's flush; nobody runs it before */
};

struct world {
	struct ept ept;
	struct ept_gather gather; /* of CPU 0, which does all but STEP_FILL and what follows it */
	struct ept_claim claim;   /* of CPU 1 */
	bool claimed;
	struct ept_frozen frozen;
	bool is_frozen;
	bool has_clone;
	struct world_clone clone;
	bool moved;   /* something, since the last flush */
	bool aliases; /* pages do not lie where they were mapped to */
	bool eager;   /* after each step the CPU looks at all pages, so it remembers all there is */
	unsigned int
		pending_max; /* no collapse while so many tables wait for a flush; 0: no limit */
	struct tlb tlb;
	struct reference ref;
	struct frame_pool pool;
	struct frame *frames; /* of the table pages */
	uint8_t *tables;      /* their memory */
	unsigned int ntables;
	unsigned int in_use;
	unsigned int allocs;  /* of this step, like the next two */
	unsigned int fail_at; /* this allocation fails; 0: none does */
	unsigned int flushes;
	uint64_t changing_from, changing_to; /* pages that the step may unmap */
	bool changing_rights;                /* the step may withhold some */
	const struct step *step;             /* under way */
	bool dirty;                          /* the entry of the step's page was, before the step */
	uint8_t pouring;                     /* what pages hold that arrive: CONTENT_ARRIVED */
	uint8_t *memory;  /* what each backing frame holds; WORLD_BACKING is the first */
	uint64_t nmemory; /* frames that a map may use; behind them, as many for copies */
	uint64_t half;    /* of these, and as many again for the clone's; aligned to any leaf */
	char fault[192];  /* empty: none */
};

/**
 * world_init() - an empty address space.
 * @npages: guest pages that the reference covers
 * @nbacking: frames of guest memory
 * @ntables: table pages that exist
 */
void world_init(struct world *w, const struct ept_format *fmt, enum pg_level leaf_max,
		uint64_t npages, uint64_t nbacking, unsigned int ntables);

/* Before anything is mapped: large leaves cannot be executed; hardware without accessed and dirty
 * bits; a clone that can be made. */
void world_set_nx(struct world *w);
void world_set_plain(struct world *w);
void world_add_clone(struct world *w);

/* Takes everything down; w->fault says if something was left over. */
void world_fini(struct world *w);

/* Gives back the memory alone, after a fault. */
void world_free(struct world *w);

/* Whether the step makes sense now: it would not wait for somebody who never comes. */
bool world_allows(const struct world *w, const struct step *s);

/* The guest reads, writes or executes a page, starting the walk as tlb.h says. */
void world_touch(struct world *w, gfn_t gfn, unsigned int perms, unsigned int way);
void world_clone_touch(struct world *w, gfn_t gfn, unsigned int perms, unsigned int way);

/* Does the step; false, and w->fault says why, if anything is not as it must be. */
bool world_step(struct world *w, const struct step *s);

/* Does the step to the second stage alone, with allocation `nth` failing. It must refuse with
 * EPT_NO_TABLE and leave every page as it was. Steps that answer otherwise to that are not done. */
bool world_step_fails(struct world *w, const struct step *s, unsigned int nth);

/* Compares everything with the reference; world_step() does so for small worlds by itself. */
bool world_verify(struct world *w);

/* The pages of a range; and what concerns no single page: counters, tables, what CPUs remember. */
bool world_verify_range(struct world *w, gfn_t gfn, uint64_t frames);
bool world_verify_tables(struct world *w);

void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- between its files --- */

/* Something is wrong with one page of an address space, or nothing. */
void world_verify_clone(struct world *w);

/* Number of a frame of guest memory. */
static inline uint64_t world_frame(uint64_t frame)
{
	return (frame - WORLD_BACKING) >> PAGE_SHIFT;
}

/* The frame is written to: whoever maps it sees that. */
void world_write(struct world *w, uint64_t frame, uint8_t content);

/* steps_range.c, steps_clone.c: like the functions of steps.c. What a step finds besides its
 * answer goes to world_fail(). */
bool world_allows_more(const struct world *w, const struct step *s);
int world_run_more(struct world *w, const struct step *s);
int world_expect_more(struct world *w, const struct step *s, int r);
bool world_allows_clone(const struct world *w, const struct step *s);
int world_run_clone(struct world *w, const struct step *s);
int world_expect_clone(struct world *w, const struct step *s, int r);

/* The frame that the piece goes to, as large as it is, or 0: somebody uses it. */
uint64_t world_fresh(const struct world *w, gfn_t gfn, enum pg_level level);
void world_copy(struct world *w, uint64_t from, uint64_t to, uint64_t frames);

bool world_overlaps_claim(const struct world *w, uint64_t gfn, uint64_t frames);

const char *step_text(const struct step *s, char *buf, size_t bytes);

#endif
