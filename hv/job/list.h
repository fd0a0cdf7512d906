/* SPDX-License-Identifier: MIT */
/* The product's jobs: one file each. X(name) stands for job=NAME and NAME_job(). */
#ifndef HV_JOB_LIST_H
#define HV_JOB_LIST_H

#include "hv/job/jobs.h"

#define JOBS(X)                                                                                    \
	X(migrate)                                                                                 \
	X(log)                                                                                     \
	X(relocate)                                                                                \
	X(clone)                                                                                   \
	X(hot)                                                                                     \
	X(protect)                                                                                 \
	X(move)                                                                                    \
	X(linux)                                                                                   \
	X(send)                                                                                    \
	X(receive)

#define JOB_FUNCTION(name)                                                                         \
	const char *name##_job(const struct run_config *config, const struct boot_info *info);
JOBS(JOB_FUNCTION)

#endif
