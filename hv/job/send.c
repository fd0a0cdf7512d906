/* SPDX-License-Identifier: MIT */
/* job=send: one end of a migration between two machines (hv/migrate/send.h). */
#include "hv/migrate/send.h"

#include "hv/job/list.h"

const char *send_job(const struct run_config *config, const struct boot_info *info)
{
	static struct migration m;

	return send(&m, config, info);
}
