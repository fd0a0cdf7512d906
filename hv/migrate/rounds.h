/* SPDX-License-Identifier: MIT */
/*
 * The rounds of pre-copy, at the source: which pages does each have to copy? In the first all with
 * contents; in a later one those that were written since, as a dirty log says.
 */
#ifndef HV_MIGRATE_ROUNDS_H
#define HV_MIGRATE_ROUNDS_H

#include "hv/config/config.h"
#include "hv/mem/bitmap.h"
#include "hv/vm/dirty_log.h"

struct rounds {
	struct vm *from;
	const struct run_config *config;
	struct dirty_log log;
	bool logging;                       /* dirty_begin() was called */
	bool marked;                        /* the log is on for all pages */
	struct bitmap map;                  /* pages of the newest round */
	unsigned int n;                     /* rounds */
	uint64_t written;                   /* pages, at the newest collection */
	uint64_t before;                    /* at the one before */
	uint64_t at_stop;                   /* at the last one, when the guest had stopped */
	uint64_t pages[CONFIG_PRECOPY_MAX]; /* that each round had to copy */
	uint64_t begun;                     /* TSC: the newest round */
};

/* Begins the log. Return: NULL, or what went wrong. Call rounds_end() in any case. */
const char *rounds_begin(struct rounds *r, struct vm *from, const struct run_config *config);

/* Marks a bounded part of the pages, until r->marked. Return: NULL, or what went wrong. */
const char *rounds_mark(struct rounds *r);

/* The next round's map; @first: all begins anew. A page's contents are to be read afterwards. */
void rounds_next(struct rounds *r, bool first);

/* The pages of the newest round are copied: is another one of no use, or not allowed? */
bool rounds_enough(const struct rounds *r);

/* The guest has stopped: the map of what was written since the newest round. */
void rounds_last(struct rounds *r);

/* Ends the log, and gives back what rounds_begin() took. */
void rounds_end(struct rounds *r);

#endif
