/* SPDX-License-Identifier: MIT */
/* The destination's half of a migration: the guest runs, its pages come. Boot CPU only. */
#ifndef HV_MIGRATE_ARRIVE_H
#define HV_MIGRATE_ARRIVE_H

#include "hv/migrate/migrate.h"

/* Makes m->to, and what notes its losses and the guest's words. NULL, or what is missing. */
const char *arrive_make(struct migration *m);

/* While the source still runs, and before any page comes: goes on with filling the frames of m->to
 * with zeros. Return: is it done? */
bool arrive_zero(struct migration *m);

/* The guest runs at m->to: brings all pages in and, if this is the last
 * migration, lets the guest end; then it stands still. NULL, or what went wrong. */
const char *arrive_run(struct migration *m);

/* Counts the verdict's figures from here on. Call it right before the switch-over. */
void arrive_mark(struct migration *m);

/* Sets up the pager, the policy and the stream. m->arrive says how much comes at once. */
void arrive_prepare(struct migration *m, struct page_source *source);

/* The guest has its state: it runs. @from: its former VM's number, for the trace */
void arrive_begin(struct migration *m, unsigned int from);

/* Everything stands still: verifies, and reports. @why: what has gone wrong before, or NULL.
 * Return: that, or what does not hold. */
const char *arrive_judge(struct migration *m, const char *why);

#endif
