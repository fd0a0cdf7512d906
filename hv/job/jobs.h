/* SPDX-License-Identifier: MIT */
/* What a run can be: the product knows "migrate"; the test image has its own list. */
#ifndef HV_JOBS_H
#define HV_JOBS_H

#include "hv/config/boot_info.h"

struct job {
	const char *name; /* job= in the configuration */
	/* NULL if it passed, or a sentence that says what went wrong; "skip: reason" */
	const char *(*run)(const struct run_config *config, const struct boot_info *info);
};

extern const struct job jobs[];
extern const size_t njobs;

#endif
