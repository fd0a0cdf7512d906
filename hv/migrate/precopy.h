/* SPDX-License-Identifier: MIT */
/*
 * Pre-copy: rounds in which the contents of the source's pages go ahead to the frames of the
 * destination, while the guest still runs at the source. A dirty log says what has changed since.
 *
 * What is staged like this stays absent at the destination until the switch-over. Then the source
 * says of it that it is in place, and all else is pulled.
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
	uint64_t copied;      /* pages, each time that they were copied */
	uint64_t at_stop;     /* pages that were dirty when the source stopped */
};

/**
 * precopy_run() - stage the source's memory.
 * @turn: called often: gives the vCPUs their time; returns what went wrong meanwhile, or NULL
 * Return: NULL, or what went wrong. Call precopy_end() in any case.
 */
const char *precopy_run(struct precopy *p, struct vm *from, struct vm *to,
			const struct run_config *config, const char *(*turn)(void *ctx), void *ctx);

/* The source has stopped: what was dirty still is not staged. */
void precopy_stop(struct precopy *p);

/* Last, before the switch-over: what the source has discarded or lost since is not staged. */
void precopy_settle(struct precopy *p);

/* Gives back what it took. */
void precopy_end(struct precopy *p);

#endif
