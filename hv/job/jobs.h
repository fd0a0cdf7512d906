/* SPDX-License-Identifier: MIT */
/* The jobs that a run can do. The product's are in hv/job/list.h; the test image has its own. */
#ifndef HV_JOBS_H
#define HV_JOBS_H

#include "hv/config/boot_info.h"

struct job {
	const char *name; /* job= in the configuration */
	/* NULL: passed; or a sentence with what went wrong; or "skip: reason" */
	const char *(*run)(const struct run_config *config, const struct boot_info *info);
};

extern const struct job jobs[];
extern const size_t njobs;

#endif
