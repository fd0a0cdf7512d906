/* SPDX-License-Identifier: MIT */
/*
 * What the jobs have in common that work on a running guest:
 *
 *	make a VM, all of whose memory is there, as zeros, in leaves as large as its frames
 *	load the payload, start it, wait until all vCPUs have prepared their memory
 *	begin(), round() as often as rounds= says, end(): the vCPUs run meanwhile
 *	ask the guest to finish, and take its verdict on its own data
 *	check(), then the tables' own check, and the counters against a walk
 *	print the figures: a table for people, a line of JSON for programs
 *
 * A sentence that says what went wrong ends it at any point; all is given back.
 */
#ifndef HV_JOB_GUEST_RUN_H
#define HV_JOB_GUEST_RUN_H

#include "hv/base/try.h"
#include "hv/config/boot_info.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

#define GUEST_FIGURES 24

struct guest_run;

/* Each may be NULL, and returns NULL or what went wrong. */
struct guest_job {
	const char *name;
	/* The vCPUs run, and are ready. */
	const char *(*begin)(struct guest_run *run);
	const char *(*round)(struct guest_run *run);
	const char *(*end)(struct guest_run *run);
	/* All vCPUs are over with. Nothing is small any more because it was executed. */
	const char *(*check)(struct guest_run *run);
	/* Gives back what begin() took, whatever has happened since. */
	void (*give_back)(struct guest_run *run);
};

struct guest_run {
	const struct run_config *config;
	const struct guest_job *job;
	struct vm *vm;
	unsigned int round; /* that is under way, from 0 */
	uint64_t begun;     /* TSC */
	bool verbose;
	struct ept_stats at_begin, at_end; /* of the second stage */
	const char *verdict;               /* NULL: passed */
	unsigned int nfigures;
	struct {
		const char *key, *what;
		uint64_t value;
	} figure[GUEST_FIGURES];
};

/* The whole. Return: NULL, or what went wrong. */
const char *guest_run(const struct guest_job *job, const struct run_config *config,
		      const struct boot_info *info);

/* --- for the jobs: while it runs ------------------------------------------------------------ */

/* One turn of the vCPUs. What is refused because somebody else is at work is tried again after it.
 * Return: NULL, or why there is no point in going on: the guest is over, or time is. */
const char *must_check guest_turn(struct guest_run *run);

/* Lets the guest run until each vCPU has ended so many more passes over its memory. */
const char *must_check guest_passes(struct guest_run *run, uint64_t n);

/* Adds to a figure of the report. Its words are not copied. */
void guest_figure(struct guest_run *run, const char *key, const char *what, uint64_t value);

/* Counters as they are now. */
struct ept_stats guest_stats(const struct guest_run *run);

#endif
