/* SPDX-License-Identifier: MIT */
/* The source of a migration to another machine, on which receive() runs. */
#ifndef HV_MIGRATE_SEND_H
#define HV_MIGRATE_SEND_H

#include "hv/migrate/migrate.h"

/**
 * send() - run a guest until it is to go, give it to another machine, and serve its memory until
 * all of that is there. If nobody takes it, it runs to its end here, and the run has failed.
 * Parameters and return: as receive() (hv/migrate/receive.h).
 */
const char *send(struct migration *m, const struct run_config *config,
		 const struct boot_info *info);

#endif
