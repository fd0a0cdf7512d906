/* SPDX-License-Identifier: MIT */
/* The report of a migration: a progress line, a table, a line of JSON. */
#ifndef HV_MIGRATE_REPORT_H
#define HV_MIGRATE_REPORT_H

#include "hv/migrate/migrate.h"

void report_progress(struct migration *m, bool always);

/* The table, if the machine is verbose, and the line of JSON. */
void report(const struct migration *m);

struct granularity granularity_of(const struct ept *ept);

/* --- figures.c: what the table and the line of JSON are made of ------------------------------ */

/* X(name): one number each; a comment where the name does not say it. */
#define REPORT_FIGURES(X)                                                                          \
	X(downtime_us)                                                                             \
	X(arrived_us)    /* from the stop to the last page; negative: not all arrived */           \
	X(huge_first_us) /* until the first leaf of 2 MiB or more; negative: there was none */     \
	X(huge_most_us)  /* until nine tenths of all memory that ends in such leaves had them */   \
	X(huge_last_us)                                                                            \
	X(finished_us) /* until the last collapse */                                               \
	X(faults)                                                                                  \
	X(faults_waited)   /* the vCPU left the CPU until the page was there */                    \
	X(faults_at_hand)  /* the page was placed within the fault */                              \
	X(faults_spurious) /* the page was there by the time we looked */                          \
	X(machine_checks)                                                                          \
	X(blocktime_us)                                                                            \
	X(longest_wait_us)                                                                         \
	X(urgent_late_us) /* longest that an urgent answer waited to be taken; negative: unknown   \
			   */                                                                      \
	X(urgent_late_cycles) /* the same */                                                       \
	X(urgent_behind)      /* most bytes that were written meanwhile */                         \
	X(flushes)                                                                                 \
	X(tables_peak)                                                                             \
	X(recovered) /* tables that a large leaf was for again, once nobody executed there */      \
	X(healed_requests) /* pages asked for again, whose answer came without them */             \
	X(healed)                                                                                  \
	X(owed) /* pages that were left at the source; negative: none could be */                  \
	X(compared)                                                                                \
	X(written)                                                                                 \
	X(lost)                                                                                    \
	X(precopy_rounds)                                                                          \
	X(precopy_copied)                                                                          \
	X(precopy_dirty_at_stop)                                                                   \
	X(monitor_changes) /* commands by which the monitor has changed the run; negative: none */

struct figures {
#define X(name) int64_t name;
	REPORT_FIGURES(X)
#undef X
	uint64_t latency[LATENCY_BUCKETS]; /* of all vCPUs; waits, in powers of two of cycles */
};

struct figures figures_of(const struct migration *m);

#endif
