/* SPDX-License-Identifier: MIT */
/* job=migrate: a post-copy migration between two VMs of this machine (hv/migrate/migrate.h). */
#include "hv/migrate/migrate.h"

#include "hv/job/list.h"

const char *migrate_job(const struct run_config *config, const struct boot_info *info)
{
	static struct migration m;

	return migrate(&m, config, info);
}
