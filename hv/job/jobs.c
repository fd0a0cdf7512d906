/* SPDX-License-Identifier: MIT */
/* The product's one job. */
#include "hv/job/jobs.h"

#include "hv/migrate/migrate.h"

const struct job jobs[] = {
	{ "migrate", migrate_job },
};
const size_t njobs = ARRAY_LEN(jobs);
