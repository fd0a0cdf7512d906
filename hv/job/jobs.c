/* SPDX-License-Identifier: MIT */
/* What a run of the product can be. */
#include "hv/job/list.h"

#define ROW(name) { #name, name##_job },

const struct job jobs[] = { JOBS(ROW) };
const size_t njobs = ARRAY_LEN(jobs);
