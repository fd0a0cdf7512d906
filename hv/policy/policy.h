/* SPDX-License-Identifier: MIT */
/*
 * When complete ranges collapse. A policy is one row of functions, declared by
 * hv/policy/list.h, and a name in hv/config/config.h.
 *
 * A range is complete when its last 4 KiB, or 2 MiB, page is there: the arrival that makes it so
 * reports it, once. Nothing scans for work.
 */
#ifndef HV_POLICY_POLICY_H
#define HV_POLICY_POLICY_H

#include "hv/config/config.h"

struct memory;

struct policy {
	bool keeps_small; /* never collapses: ranges stay as they arrived */

	/* A migration into this memory begins. */
	void (*begin)(struct memory *mem, const struct run_config *config);

	/* The range of `level` around gfn has become complete. Runs on the CPU that placed its last
	 * page, within a fault: do a bounded amount of work. Flush: owed, through
	 * mem->gather[cpu]. */
	void (*complete)(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level);

	/* A bounded step of what was put off, while pages arrive and after. May be NULL. False:
	 * nothing to do just now. */
	bool (*step)(struct memory *mem, unsigned int cpu);

	/* A bounded step of what was put off until all pages are here. False: nothing is left. */
	bool (*finish)(struct memory *mem, unsigned int cpu);
};

const struct policy *policy_of(enum config_policy which);

/* As collapse= in the configuration says it. */
const char *policy_name(enum config_policy which);

#endif
