/* SPDX-License-Identifier: MIT */
/* The source's half of a migration: a VM is made and runs until it shall go. Boot CPU only. */
#ifndef HV_MIGRATE_DEPART_H
#define HV_MIGRATE_DEPART_H

#include "hv/migrate/migrate.h"

/* Makes m->from, loads the guest, and opens its console. NULL, or what is missing. */
const char *depart_make(struct migration *m, const struct boot_info *info);

/* From now on absent memory of m->from is zeros, in pieces of this size. */
void depart_grow_by_zeros(struct migration *m, enum pg_level piece);

/* Lets it run, and the monitor look at it. */
void depart_begin(struct migration *m);

/* Has the moment come to go? trigger= and the monitor say so. */
bool depart_due(struct migration *m);

/* One turn of the source. @m: the migration. NULL, or what went wrong. */
const char *depart_turn(void *m);

/* Stops it, and saves its vCPUs. @why: what has gone wrong before, or NULL. Return: that; or what
 * is wrong with a guest that can go no further. */
const char *depart_stop(struct migration *m, const char *why);

#endif
