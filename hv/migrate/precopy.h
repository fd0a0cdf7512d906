/* SPDX-License-Identifier: MIT */
/*
 * Pre-copy: rounds that copy the source's pages ahead to the frames of the destination, while the
 * guest still runs at the source. A dirty log says what has changed since.
 *
 * Staged pages stay absent at the destination until the switch-over. Then the source answers that
 * they are in place; all other pages are pulled.
 */
#ifndef HV_MIGRATE_PRECOPY_H
#define HV_MIGRATE_PRECOPY_H

#include "hv/mem/bitmap.h"
#include "hv/vm/dirty_log.h"

struct precopy {
	struct vm *from, *to;
	struct dirty_log log;
	bool logging;
	struct bitmap staged; /* pages whose contents lie in the destination's frames, unchanged */
	struct bitmap dirty;  /* of the last collection */
	unsigned int rounds;  /* that were made */
	uint64_t copied;      /* pages, once for each copy */
	uint64_t at_stop;     /* pages that were dirty when the source stopped */
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
