/* SPDX-License-Identifier: MIT */
/*
 * Pre-copy within one machine: rounds that copy the source's pages ahead to the frames of the
 * destination, while the guest still runs at the source. At the switch-over the source answers that
 * what is staged is in place; all other pages are pulled. Between two machines: hv/link/ahead.h.
 */
#ifndef HV_MIGRATE_PRECOPY_H
#define HV_MIGRATE_PRECOPY_H

#include "hv/migrate/rounds.h"
#include "hv/migrate/staging.h"

struct precopy {
	struct rounds rounds;
	struct staging staging;
	uint64_t at_stop; /* pages that were dirty when the source stopped */
};

/**
 * precopy_run() - stage the source's memory.
 * @turn: called often; gives the vCPUs their time, returns what went wrong meanwhile, or NULL
 * Return: NULL, or what went wrong. Call precopy_end() in any case.
 */
const char *precopy_run(struct precopy *p, struct vm *from, struct vm *to,
			const struct run_config *config, const char *(*turn)(void *ctx), void *ctx);

/* Ends the log and unstages the pages that are still dirty. Call it when the source has stopped. */
void precopy_stop(struct precopy *p);

/*
 * Unstages what the source has discarded or lost since it was staged. Call it once, when the source
 * has stopped and loses no more pages before the move.
 */
void precopy_settle(struct precopy *p);

/* Gives back what precopy_run() took. */
void precopy_end(struct precopy *p);

#endif
