/* SPDX-License-Identifier: MIT */
/* The product's jobs. */
#include "hv/job/list.h"

#define ROW(name) { #name, name##_job },

const struct job jobs[] = { JOBS(ROW) };
const size_t njobs = ARRAY_LEN(jobs);
