/* SPDX-License-Identifier: MIT */
/* A migration as the monitor and the live feed see it, and what they may change. */
#ifndef HV_MIGRATE_WATCH_H
#define HV_MIGRATE_WATCH_H

#include "hv/migrate/migrate.h"

/* The monitor looks at the source, which runs; nothing may be changed yet. */
void watch_source(struct migration *m);

/* It looks at the destination. */
void watch_destination(struct migration *m);

/* The next part of the migration has this name: a word. */
void watch_phase(struct migration *m, const char *phase);

/* It looks at nothing any more: the VMs stand still. */
void watch_end(void);

#endif
