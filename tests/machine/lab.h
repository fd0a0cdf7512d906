/* SPDX-License-Identifier: MIT */
/*
 * What the in-machine cases have in common: a VM whose memory is absent, a page source that answers
 * when the case says so, and the payload `poke`, which reads the last word of pages and finds there
 * the word's own address within its GiB.
 */
#ifndef TESTS_MACHINE_LAB_H
#define TESTS_MACHINE_LAB_H

#include "hv/job/jobs.h"
#include "hv/abi.h"
#include "hv/base/try.h"
#include "hv/mem/collapse.h"
#include "hv/mem/place.h"
#include "hv/policy/policy.h"
#include "hv/source/source.h"
#include "hv/vm/make.h"
#include "hv/vm/load.h"
#include "hv/vm/run.h"

#define GIB_FRAMES   (GIB >> PAGE_SHIFT)
#define RANGE_FRAMES (2 * MIB >> PAGE_SHIFT)
#define LAB_ASKED    64 /* requests that are kept */

/* As guest/test/poke.c has them. */
enum {
	POKE_SHARE = 0,
	POKE_ALL = 1,
	POKE_AGAIN = 2,
	POKE_WRITE = 4,
	POKE_OFTEN = 8,
};

struct lab {
	struct page_source source; /* first: the source's functions find the lab by it */
	const struct boot_info *info;
	struct run_config config; /* of the VM; what is changed later the guest is told */
	struct vm *vm;
	bool at_hand; /* the source has every page at once */
	bool spoilt;  /* and what it sends is wrong */
	uint64_t begun;
	_Atomic unsigned int asked; /* requests so far; the source's ring has the first ones */
	gfn_t asked_gfn[LAB_ASKED];
	uint64_t asked_frames[LAB_ASKED];
};

/* Makes a fresh VM of this name, as the section says. NULL, or what went wrong: then end nothing.
 */
const char *lab_make(struct lab *lab, const char *name, const struct run_config *config,
		     const struct boot_info *info);

/* Stops it, looks whether its tables are sound, and gives everything back. */
const char *lab_end(struct lab *lab);

/* Runs the body with a fresh VM as the section says, and gives everything back. */
const char *lab_run(const struct run_config *config, const struct boot_info *info,
		    const char *(*body)(struct lab *lab));

/* The job of a case that needs no more than that. */
#define LAB_JOB(name)                                                                              \
	const char *name##_job(const struct run_config *config, const struct boot_info *info)      \
	{                                                                                          \
		return lab_run(config, info, name);                                                \
	}

/* --- pages -------------------------------------------------------------------------------- */

/* Fills and publishes one piece, each page with its word. NULL, or what went wrong. */
const char *lab_fill(struct lab *lab, gfn_t gfn, enum pg_level level);
/* [gfn, end) in pieces of this level. */
const char *lab_fill_all(struct lab *lab, gfn_t gfn, gfn_t end, enum pg_level level);

/* Overwrites the word of a frame: right or wrong. */
void lab_write(gfn_t gfn, hpa_t frame, bool wrong);

/* Gives back a 4 KiB frame of the case's own. */
void lab_free(hpa_t frame);

/* Sends one page through the pager, as a source's answer. */
void lab_place(struct lab *lab, gfn_t gfn);

/* Collapses all that can be, and flushes. */
struct ept_collapse_result lab_collapse(struct lab *lab, gfn_t gfn, uint64_t frames);

/* Counters as they are now, summed. */
struct ept_stats lab_stats(const struct lab *lab);

/* NULL, or how the present leaves differ from these. */
const char *lab_leaves(const struct lab *lab, int64_t n4k, int64_t n2m, int64_t n1g);

/* Nothing moves: counters equal a full walk, and every invariant holds. */
const char *lab_check(const struct lab *lab);

/* --- the guest ---------------------------------------------------------------------------- */

/* Loads a payload and starts all vCPUs on [start, start + work) with this seed. */
const char *lab_start(struct lab *lab, const char *payload, uint64_t seed, uint64_t start,
		      uint64_t work, uint64_t stride);

/* One turn of the boot CPU. False: the case's time is over. */
bool lab_turn(struct lab *lab);

/* Answers requests until the guest is over; NULL if all its verdicts are right. */
const char *lab_finish(struct lab *lab);

/* Starts and finishes poke. */
const char *lab_poke(struct lab *lab, uint64_t seed, uint64_t start, uint64_t work,
		     uint64_t stride);

/* Loads poke and lets it end, so that the image is in place before a test counts. */
const char *lab_warm_up(struct lab *lab);

/* Faults of all vCPUs since the VM was made. */
uint64_t lab_faults(const struct lab *lab);

#endif
