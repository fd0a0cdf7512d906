/* SPDX-License-Identifier: MIT */
/*
 * The dirty log of a VM: which 4 KiB pages has the guest written since the last collection? The
 * vCPUs run all the time. The second stage keeps the marks (ept/track.h); here is who tells of the
 * writes, and when the CPUs have to be asked.
 *
 * Boot CPU only, one log for a VM at a time.
 */
#ifndef HV_VM_DIRTY_LOG_H
#define HV_VM_DIRTY_LOG_H

#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

enum dirty_how {
	DIRTY_AUTO,   /* the best that the CPU has, in the order LOG, BITS, WRITES */
	DIRTY_WRITES, /* the first write to each page faults */
	DIRTY_BITS,   /* dirty bits, looked for in all entries */
	DIRTY_LOG /* dirty bits, and a log of those that were set (PML): only these are looked at */
};

struct dirty_log {
	struct vm *vm;
	enum dirty_how how;
	gfn_t next;      /* marks are set up to here */
	hpa_t where;     /* of vm->mem.logged; HPA_NONE: none */
	bool swept;      /* all entries were looked at once since the marks are set */
	uint64_t looked; /* entries looked at by the last collection */
};

/* As log= in the configuration says it. */
enum dirty_how dirty_how_of(enum config_log log);

const char *dirty_how_name(enum dirty_how how);

/**
 * dirty_begin() - begin to track a VM. No page is marked yet: see dirty_step().
 * Return: 0; -ENODEV: the CPU has no such way; -ENOMEM; EPT_BUSY: a log is kept already.
 */
int must_check dirty_begin(struct dirty_log *d, struct vm *vm, enum dirty_how how);

/**
 * dirty_step() - mark and split ahead, a bounded part.
 * @budget: entries to look at or to write
 * Return: 1: through, each page is marked; 0: more is to be done; -ENOMEM: call again when there is
 * memory. The CPUs know of what was done.
 */
int must_check dirty_step(struct dirty_log *d, unsigned int budget);

/**
 * dirty_collect() - which pages were written? To be called when dirty_step() is through.
 * @bitmap: bit n for page n of the VM's memory; bits are set
 * Return: pages reported. Their contents may be read from now on.
 */
uint64_t dirty_collect(struct dirty_log *d, uint64_t *bitmap);

/**
 * dirty_end() - take all marks away, and collapse what tracking made small, in place.
 * @result: may be NULL
 */
void dirty_end(struct dirty_log *d, struct ept_collapse_result *result);

#endif
