/* SPDX-License-Identifier: MIT */
/* Which pages the guest touched first: noted for order=record, read for order=replay. */
#ifndef HV_MIGRATE_TOUCHED_H
#define HV_MIGRATE_TOUCHED_H

#include "hv/migrate/migrate.h"

/* Before the destination is prepared. NULL, or what is missing. Call touched_end() in any case. */
const char *touched_begin(struct migration *m, const struct boot_info *info);

/* The destination's pager is there: from here on it notes. */
void touched_note(struct migration *m);

/* Prints what was noted, for tools/order. No vCPU runs any more. */
void touched_print(const struct migration *m);

/* Return: could all be given back? */
bool must_check touched_end(struct migration *m);

#endif
