/* SPDX-License-Identifier: MIT */
/*
 * Enumerates all sequences of a set of steps, breadth first, each different state once. From each
 * state each step is done, and then once more for each table page that it allocates, with that
 * allocation failing: nothing may change, and doing it again must succeed.
 */
#ifndef TESTS_HOST_MODEL_EXPLORE_H
#define TESTS_HOST_MODEL_EXPLORE_H

#include "tests/host/model/world.h"

#define EXPLORE_STEPS 128

struct explore {
	const char *name;
	const struct ept_format *fmt;
	bool eager; /* see struct world */
	bool nx;
	bool plain; /* hardware has no accessed and dirty bits */
	bool clone;
	unsigned int npages;
	unsigned int pending_max; /* see struct world */
	unsigned int depth;       /* of the longest sequences, `first` not counted */
	unsigned int nfirst;
	struct step first[6]; /* what every sequence begins with */
	unsigned int nsteps;
	struct step step[EXPLORE_STEPS];

	/* the result */
	bool whole; /* no sequence, however long, leads to a state that was not seen */
	uint64_t states;
	uint64_t transitions;
	uint64_t failures; /* allocations that were made to fail */
};

/* True if all is well; otherwise it has printed what is wrong and the shortest way to it. */
bool explore(struct explore *x);

#endif
