/* SPDX-License-Identifier: MIT */
/* What a run of the test image can be: the product's one job, and the in-machine tests. */
#include "hv/job/jobs.h"

#include "hv/job/list.h"
#include "tests/machine/bench.h"
#include "tests/machine/cases.h"
#include "tests/machine/space.h"

#define CASE(name) { #name, name##_job },

const struct job jobs[] = { JOBS(CASE){ "space", space_job },
			    { "bench_arrival", bench_arrival_job },
			    { "bench_copy", bench_copy_job },
			    { "bench_collapse", bench_collapse_job },
			    { "bench_track", bench_track_job },
			    { "bench_demand", bench_demand_job },
			    CASES(CASE) };
const size_t njobs = ARRAY_LEN(jobs);
