/* SPDX-License-Identifier: MIT */
/* job=linux: boots a Linux, or a payload, and runs it until it ends by itself. */
#include "hv/job/guest_run.h"
#include "hv/job/list.h"

const char *linux_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "linux",
		.to_its_end = true,
	};

	return guest_run(&job, config, info);
}
