/* SPDX-License-Identifier: MIT */
/* A post-copy migration between two VMs of this machine, from start to verdict. */
#ifndef HV_MIGRATE_MIGRATE_H
#define HV_MIGRATE_MIGRATE_H

#include "hv/config/boot_info.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"
#include "hv/migrate/precopy.h"
#include "hv/migrate/stream.h"

/* How the destination is mapped at one moment. */
struct granularity {
	int64_t pages_4k, pages_2m, pages_1g, tables;
};

struct migration {
	const struct run_config *config;
	struct vm *from, *to;
	struct source_vm source;
	struct precopy precopy;
	struct stream stream;
	uint64_t arrive;          /* frames that arrive at once */
	struct bitmap lost_pages; /* that were lost on purpose, at either side */

	uint64_t begun, stopped, switched, arrived, finished; /* TSC; 0: it never came to that */
	uint64_t tables_before; /* in use by others than the destination */
	struct granularity at_switch, worst, end;
	struct ept_stats stats; /* of the destination, at the end */
	struct pager_stats pager;
	uint64_t healed; /* tables that a last sweep collapsed, though no policy had put them off */
	uint64_t compared; /* pages equal to the source's */
	uint64_t written;  /* pages changed by the guest since */
	uint64_t lost;     /* pages that are lost in both, or were lost late */
	uint64_t flushes;  /* INVEPTs that CPUs executed for the destination */
	uint64_t tables_peak;
	uint64_t next_progress; /* percent */
	enum pg_level backing;  /* that the destination got: its largest leaf */
	const char *verdict;    /* NULL: passed */
	bool verbose;           /* progress lines and the table, too */
	bool hw_dirty;          /* the hardware marks what is written */
};

/**
 * migrate() - run a payload in one VM, move it to another, verify.
 * @m: figures for the report; the VMs are gone when this returns
 * Return: NULL, or what went wrong.
 */
const char *migrate(struct migration *m, const struct run_config *config,
		    const struct boot_info *info);

/* --- verify.c ------------------------------------------------------------------------------ */

/* NULL, or what does not hold: contents, counters, levels, the guest's own verdict. */
const char *migrate_verify(struct migration *m);

#endif
