/* SPDX-License-Identifier: MIT */
/*
 * What the monitor and the live feed look at: the run that goes on, as whoever drives it says. The
 * monitor changes nothing but through the functions here and those of hv/mem/guest_memory.h, and
 * notes what it has done, for the report.
 */
#ifndef HV_MONITOR_WATCHED_H
#define HV_MONITOR_WATCHED_H

#include "hv/cpu/vm.h"

/* How far a migration is. */
struct watched_progress {
	unsigned int rate; /* of the stream, pages per ms; 0: it pauses; or CONFIG_UNLIMITED */
	unsigned int hop;
	enum config_policy policy;
	bool cut;              /* no page comes from the source */
	uint64_t settled;      /* pages that nobody will send any more */
	uint64_t since_switch; /* microseconds; 0: not yet */
};

/* What a migration lets the monitor do. Boot CPU, outside of the second stage. */
struct watched_ops {
	void (*progress)(void *ctx, struct watched_progress *p);
	void (*set_rate)(void *ctx, unsigned int rate);
	void (*set_policy)(void *ctx, enum config_policy policy);
	void (*cut)(void *ctx, bool cut);
	void (*migrate)(void *ctx); /* begin now */
	/* These pages of the destination are lost, or given up, by the monitor. */
	void (*lost)(void *ctx, gfn_t gfn, uint64_t frames);
	void (*discarded)(void *ctx, gfn_t gfn, uint64_t frames);
};

struct watched {
	const struct run_config *config;
	const struct hv_config *machine; /* the machine's keys */
	const char *phase;               /* a word */
	struct vm *vm;                   /* whose memory it is about */
	uint64_t begun;                  /* TSC */

	const struct watched_ops *ops; /* NULL: no migration */
	void *ctx;
	const char *no_change; /* why memory and migration cannot be changed now; NULL: they can */
	const char *no_pause;  /* likewise */
	bool may_migrate;      /* it waits for the moment */

	/* By the monitor. */
	unsigned int changes; /* commands that changed something */
	bool reshaped;        /* of these, splits, collapses, rights or the policy */
};

#endif
