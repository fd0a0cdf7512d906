/* SPDX-License-Identifier: MIT */
/* Benchmarks in the machine. Each prints one line of JSON with cycles of the TSC, which the
 * emulators count in instructions. */
#ifndef TESTS_MACHINE_BENCH_H
#define TESTS_MACHINE_BENCH_H

#include "hv/job/jobs.h"

#define BENCH_OVERLAP 77 /* as guest/test/touch.c has it: all vCPUs read the same pages */

/* The payload `touch` reads work= bytes, page by page, for the first time; the contents are in
 * the frames already, or are copied out of another page. Each of several vCPUs reads every so
 * many-th page, unless seed= says that all read all. */
const char *bench_arrival_job(const struct run_config *config, const struct boot_info *info);
const char *bench_copy_job(const struct run_config *config, const struct boot_info *info);

/* All of region= is mapped in 4 KiB leaves, then collapsed to the largest. */
const char *bench_collapse_job(const struct run_config *config, const struct boot_info *info);

/* All of region= is one leaf for each GiB; it is split ahead and marked for dirty tracking, read
 * out with nothing, 1 %, 10 % and all of it dirty, and brought back to large leaves. While it is
 * small, all its accessed bits are read and cleared, and the monitor takes one interval. */
const char *bench_track_job(const struct run_config *config, const struct boot_info *info);
/* work= bytes come from another VM on demand, latency= after they were asked for, for vcpus=; see
 * tests/machine/bench_demand.c. */
const char *bench_demand_job(const struct run_config *config, const struct boot_info *info);

#endif
