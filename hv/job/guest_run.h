/* SPDX-License-Identifier: MIT */
/*
 * What all jobs on a running guest have in common:
 *
 *	make a VM, all of whose memory is there, as zeros, in leaves as large as its frames
 *	load the payload, start it, wait until all vCPUs have prepared their memory
 *	begin(), round() as often as rounds= says, end(): the vCPUs run meanwhile
 *	ask the guest to finish, and take its verdict on its own data
 *	check(), then the tables' own check, and the counters against a walk
 *	print the figures: a table for people, a line of JSON for programs
 *
 * A sentence with what went wrong ends the job at any point; everything is given back.
 */
#ifndef HV_JOB_GUEST_RUN_H
#define HV_JOB_GUEST_RUN_H

#include "hv/base/try.h"
#include "hv/config/boot_info.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "hv/monitor/watched.h"
#include "hv/vm/exits.h"

#define GUEST_FIGURES 24

struct guest_run;

/* Each may be NULL, and returns NULL or what went wrong. */
struct guest_job {
	const char *name;
	/* The guest may be a whole system; it ends by itself, and nobody waits until it is ready.
	 * It is asked to finish `after` milliseconds after that.
	 */
	bool to_its_end;
	/* The vCPUs run, and are ready. */
	const char *(*begin)(struct guest_run *run);
	const char *(*round)(struct guest_run *run);
	const char *(*end)(struct guest_run *run);
	/* All vCPUs have ended. The splits that executing has made are undone. */
	const char *(*check)(struct guest_run *run);
	/* Gives back what begin() took, whatever has happened since. */
	void (*give_back)(struct guest_run *run);
};

struct guest_run {
	const struct run_config *config;
	const struct hv_config *machine; /* the machine's keys */
	const struct guest_job *job;
	struct vm *vm;
	unsigned int round;         /* the current one, from 0 */
	uint64_t begun;             /* TSC */
	uint64_t ready_since;       /* TSC; 0: not yet, for a job that runs to its end */
	uint64_t ended;             /* TSC */
	struct exits at_ready, all; /* until then, and until the end */
	struct watched watched;
	bool verbose;
	struct ept_stats at_begin, at_end; /* of the second stage */
	const char *verdict;               /* NULL: passed */
	unsigned int nfigures;
	struct {
		const char *key, *what;
		uint64_t value;
	} figure[GUEST_FIGURES];
};

/* Runs the whole job. Return: NULL, or what went wrong. */
const char *guest_run(const struct guest_job *job, const struct run_config *config,
		      const struct boot_info *info);

/* --- for the jobs: while it runs ------------------------------------------------------------ */

/* Gives the vCPUs one turn. Call it between two tries of what EPT_BUSY refused.
 * Return: NULL, or why to give up: the guest has ended, or the time is over. */
const char *must_check guest_turn(struct guest_run *run);

/* Lets the guest run until each vCPU has ended `n` more passes over its memory. */
const char *must_check guest_passes(struct guest_run *run, uint64_t n);

/* Adds to a figure of the report. @key, @what: must outlive the run */
void guest_figure(struct guest_run *run, const char *key, const char *what, uint64_t value);

/* Counters as they are now. */
struct ept_stats guest_stats(const struct guest_run *run);

#endif
