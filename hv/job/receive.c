/* SPDX-License-Identifier: MIT */
/* job=receive: one end of a migration between two machines (hv/migrate/receive.h). */
#include "hv/migrate/receive.h"

#include "hv/job/list.h"

const char *receive_job(const struct run_config *config, const struct boot_info *info)
{
	static struct migration m;

	return receive(&m, config, info);
}
