/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own accesses to guest memory, and its changes to ranges while vCPUs run. All
 * work on pages that have not arrived; accesses ask for them.
 */
#ifndef HV_GUEST_MEMORY_H
#define HV_GUEST_MEMORY_H

#include "hv/mem/memory.h"

enum guest_wait {
	GUEST_NOWAIT, /* ask for a missing page, return EPT_NOT_HERE */
	GUEST_WAIT    /* wait for it; the boot CPU polls the source meanwhile */
};

/**
 * guest_read() - copy from guest memory.
 * @bytes: any number; may cross pages
 * Return: 0; EPT_NOT_HERE (GUEST_NOWAIT only): call again later, from the start; EPT_UNMAPPED:
 * outside of the guest's memory; EPT_LOST: part of it is lost; -ENOMEM: no frame or no table page.
 * After an error *to is undefined.
 */
int must_check guest_read(struct memory *mem, gpa_t from, void *to, uint64_t bytes,
			  enum guest_wait wait);

/**
 * guest_write() - copy to guest memory, with the effects of the guest's own writes: accessed and
 * dirty bits, dirty log, copy-on-write.
 * Return: as guest_read(); EPT_FORBIDDEN: the guest may not write there. After an error part may be
 * written.
 */
int must_check guest_write(struct memory *mem, gpa_t to, const void *from, uint64_t bytes,
			   enum guest_wait wait);

/**
 * guest_discard() - the guest gives up [gfn, gfn + frames): it reads as zeros; nobody asks for it
 * any more. Return: 0, EPT_INVALID, EPT_NO_TABLE: see ept_discard(). Flush: made.
 */
int must_check guest_discard(struct memory *mem, gfn_t gfn, uint64_t frames);

/**
 * guest_unmap() - unplug [gfn, gfn + frames). Frees the blocks that lie wholly in the range, unless
 * somebody else refers to them; if parts of the memory have moved, they are free when it ends.
 * Return: 0; EPT_INVALID: not in the address space, or another VM writes to the same memory;
 * EPT_NO_TABLE: see ept_unmap(). Flush: made.
 */
int must_check guest_unmap(struct memory *mem, gfn_t gfn, uint64_t frames);

/* As ept_protect(), but waits while EPT_BUSY. Flush: made. */
int must_check guest_protect(struct memory *mem, gfn_t gfn, uint64_t frames, unsigned int perms);

/* As ept_poison() for one page, else as ept_poison_range(), but waits while EPT_BUSY: a guest that
 * touches the range gets a machine check. Flush: made. */
int must_check guest_poison(struct memory *mem, gfn_t gfn, uint64_t frames);

/* Undoes all splits that executing has made. Returns the number of tables that went away. Flush:
 * made. */
uint64_t guest_recover_nx(struct memory *mem);

/* Does so in a bounded step, from *next on; begins again when it is through. Returns the number of
 * tables that went away. Flush: made. */
uint64_t guest_recover_nx_some(struct memory *mem, gfn_t *next);

#endif
