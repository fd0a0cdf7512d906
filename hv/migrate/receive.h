/* SPDX-License-Identifier: MIT */
/* The two ends of a migration from one machine to another: hv/link/ is what they speak. */
#ifndef HV_MIGRATE_RECEIVE_H
#define HV_MIGRATE_RECEIVE_H

#include "hv/migrate/migrate.h"

/**
 * receive() - take a guest over from another machine, which send() runs on, and run it to its end.
 * @m: the figures for the report; the VM is destroyed when this returns
 * @config, @info: stay the caller's
 * Return: NULL, or what went wrong.
 */
const char *receive(struct migration *m, const struct run_config *config,
		    const struct boot_info *info);

#endif
