/* SPDX-License-Identifier: MIT */
/*
 * The dirty log of a VM: which 4 KiB pages has the guest written since the last collection? The
 * vCPUs run all the time. The second stage keeps the marks (see ept/track.h); this file chooses how
 * writes are noted, and when CPUs empty their logs.
 *
 * Boot CPU only, one log per VM at a time.
 */
#ifndef HV_VM_DIRTY_LOG_H
#define HV_VM_DIRTY_LOG_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

enum dirty_how {
	DIRTY_AUTO,   /* the best that the CPU has, in the order LOG, BITS, WRITES */
	DIRTY_WRITES, /* the first write to each page faults */
	DIRTY_BITS,   /* dirty bits; a collection looks at all entries */
	DIRTY_LOG     /* dirty bits and a log (PML); a collection looks at logged entries only */
};

struct dirty_log {
	struct vm *vm;
	enum dirty_how how;
	gfn_t next;      /* marks are set up to here */
	hpa_t where;     /* of vm->mem.logged; HPA_NONE: none */
	bool swept;      /* a collection has looked at all entries since the marks were set */
	uint64_t looked; /* entries that the last collection looked at */
};

/* The way that log= in the configuration asks for. */
enum dirty_how dirty_how_of(enum config_log log);

const char *dirty_how_name(enum dirty_how how);

/**
 * dirty_begin() - begin to track a VM. Marks no page yet: call dirty_step().
 * Return: 0; -ENODEV: the CPU has no such way; -ENOMEM: no frame for the log; EPT_BUSY: the VM is
 * tracked already. On 0, call dirty_end() in the end.
 */
int must_check dirty_begin(struct dirty_log *d, struct vm *vm, enum dirty_how how);

/**
 * dirty_step() - mark pages and split ahead, a bounded part.
 * @budget: entries to look at or to write
 * Return: 1: each page is marked; 0: call again; EPT_NO_TABLE: call again when there are table
 * pages. Flush: made.
 */
int must_check dirty_step(struct dirty_log *d, unsigned int budget);

/**
 * dirty_collect() - report the pages that were written. Call it once dirty_step() has returned 1.
 * @bitmap: bit n for page n of the VM's memory; sets bits, clears none
 * Return: pages reported; you may read their contents now. Flush: made.
 */
uint64_t dirty_collect(struct dirty_log *d, uint64_t *bitmap);

/**
 * dirty_end() - take all marks away, and collapse in place. Flush: made.
 * @result: of the collapse; may be NULL
 */
void dirty_end(struct dirty_log *d, struct ept_collapse_result *result);

#endif
