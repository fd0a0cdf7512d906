/* SPDX-License-Identifier: MIT */
/* For the jobs on a running guest: the sizes of its leaves. */
#ifndef HV_JOB_GUEST_LEAVES_H
#define HV_JOB_GUEST_LEAVES_H

#include "hv/job/guest_run.h"

/* The ranges of 2 MiB that lie wholly in the payload's memory. NULL, or that there is none. */
const char *must_check guest_ranges(const struct guest_run *run, gfn_t *first, gfn_t *end);

/* NULL if all of [gfn, end) is present in leaves of this level; or a sentence. */
const char *must_check guest_all_leaves(const struct guest_run *run, gfn_t gfn, gfn_t end,
					enum pg_level level);

/* Collapses in place whatever is possible. Returns the number of tables that went away. */
uint64_t guest_collapse(struct guest_run *run);

/* Makes each piece of `largest` that overlaps [gfn, end) one leaf, by copies if necessary. Gives
 * the guest its turns. NULL, or why one stays small. */
const char *must_check guest_together(struct guest_run *run, gfn_t gfn, gfn_t end,
				      enum pg_level largest);

#endif
