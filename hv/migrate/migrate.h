/* SPDX-License-Identifier: MIT */
/* A post-copy migration between two VMs of this machine, from start to verdict. */
#ifndef HV_MIGRATE_MIGRATE_H
#define HV_MIGRATE_MIGRATE_H

#include "hv/base/clock.h"
#include "hv/config/boot_info.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "hv/link/ahead.h"
#include "hv/migrate/huge.h"
#include "hv/migrate/precopy.h"
#include "hv/migrate/stream.h"
#include "hv/monitor/watched.h"
#include "hv/order/touches.h"

/* How the destination is mapped at one moment. */
struct granularity {
	int64_t pages_4k, pages_2m, pages_1g, tables;
};

struct migration {
	const struct run_config *config;
	const struct hv_config *machine; /* the machine's keys */
	unsigned int hop;                /* the guest's migrations before this one */
	struct vm *from, *to;
	struct source_vm source;
	const struct source_link *link; /* to->mem's source is on another machine: no `from` */
	struct precopy precopy;
	struct ahead ahead; /* pre-copy from another machine, into precopy.staging */
	struct stream stream;
	struct touches replay;    /* for order=replay */
	uint32_t *recorded;       /* for order=record; or NULL */
	uint64_t arrive;          /* frames that arrive at once */
	struct bitmap lost_pages; /* lost on purpose, at either side */

	uint64_t ready_since; /* TSC: the guest was ready to go; 0: not yet */
	uint64_t begun, stopped, switched, arrived, finished; /* TSC; 0: never reached */
	uint64_t tables_before; /* in use by others than the destination */
	struct granularity at_switch, worst, end;
	struct huge huge;
	struct ept_stats stats; /* of the destination, at the end */
	struct pager_stats pager;
	uint64_t recover_due; /* TSC: the next step that undoes splits by executing, */
	gfn_t recover_next;   /* from here on */
	uint64_t recovered;   /* tables that went away by it */
	uint64_t healed;   /* tables that the last sweep collapsed, though no policy put them off */
	uint64_t owed;     /* pages that nobody has asked for until the end */
	uint64_t compared; /* pages equal to the source's */
	uint64_t written;  /* pages changed by the guest since */
	uint64_t written_own; /* of these, in pages that it writes freely */
	uint64_t lost;        /* pages lost in both, or lost late */
	uint64_t flushes;     /* INVEPTs that CPUs executed for the destination */
	uint64_t tables_peak;
	uint64_t next_progress;     /* percent */
	uint64_t sample_due;        /* TSC */
	gfn_t touch_next;           /* of the look for leaves that were touched */
	uint64_t touching, touched; /* in this interval so far, in the last one */
	enum pg_level backing;      /* of the destination: its largest leaf */
	const char *verdict;        /* NULL: passed */

	/* The monitor's part: hv/migrate/watch.h. */
	struct watched watched;
	bool asked_for;              /* it said that it is time to migrate */
	enum config_policy policy;   /* that holds now */
	unsigned int policies_begun; /* bit n: of enum config_policy */
	uint64_t discarded_for;      /* pages that it discarded */

	bool verbose;  /* also print progress lines and the table */
	bool hw_dirty; /* the hardware sets dirty bits */
};

/**
 * migrate() - run a payload in one VM, move it to another, verify.
 * @m: the figures for the report; the VMs are destroyed when this returns
 * @config, @info: stay the caller's
 * Return: NULL, or what went wrong.
 */
const char *migrate(struct migration *m, const struct run_config *config,
		    const struct boot_info *info);

/* Is timeout= over? */
static inline bool migrate_out_of_time(const struct migration *m)
{
	return cycles_to_us(clock_now() - m->begun) / 1000 > m->config->timeout_ms;
}

static inline bool migrate_is_last(const struct migration *m)
{
	return m->hop + 1 == m->config->hops;
}

/* --- verify.c ------------------------------------------------------------------------------ */

/* Verifies contents, counters, levels, and the guest's own verdict. NULL, or what does not hold. */
const char *migrate_verify(struct migration *m);

#endif
