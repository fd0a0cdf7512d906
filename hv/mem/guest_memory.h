/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own accesses to guest memory, and what it does to ranges of it while vCPUs run.
 * They work on what has not arrived: it is asked for.
 */
#ifndef HV_GUEST_MEMORY_H
#define HV_GUEST_MEMORY_H

#include "hv/mem/memory.h"

enum guest_wait {
	GUEST_NOWAIT, /* what is not here is asked for, and EPT_NOT_HERE says so */
	GUEST_WAIT    /* until it is here; on the boot CPU the source is polled meanwhile */
};

/**
 * guest_read() - copy from guest memory.
 * @bytes: any number; may cross pages
 * Return: 0; EPT_NOT_HERE (GUEST_NOWAIT only): call again later, from the start; EPT_UNMAPPED:
 * outside of the guest's memory; EPT_LOST: part of it is lost; -ENOMEM. After an error *to is
 * undefined.
 */
int must_check guest_read(struct memory *mem, gpa_t from, void *to, uint64_t bytes,
			  enum guest_wait wait);

/**
 * guest_write() - copy to guest memory, noted as the guest's own writes are: accessed, dirty, dirty
 * tracking, a copy of its own where the page is private.
 * Return: as guest_read(); EPT_FORBIDDEN: the guest may not write there. After an error part may be
 * written.
 */
int must_check guest_write(struct memory *mem, gpa_t to, const void *from, uint64_t bytes,
			   enum guest_wait wait);

/**
 * guest_discard() - the guest gives up [gfn, gfn + frames): it reads as zeros, and is not asked
 * for. Return: 0, -EINVAL, -ENOMEM: see ept_discard(). All CPUs have forgotten the frames.
 */
int must_check guest_discard(struct memory *mem, gfn_t gfn, uint64_t frames);

/**
 * guest_unmap() - [gfn, gfn + frames) is no memory any more: it was unplugged. Blocks of frames
 * that lie wholly in there are free, unless somebody else refers to them, or parts of the memory
 * have moved: then they are free when the memory ends.
 * Return: 0; -EINVAL: not in the address space, or another VM writes to the same memory; -ENOMEM:
 * see ept_unmap(). All CPUs have forgotten the frames.
 */
int must_check guest_unmap(struct memory *mem, gfn_t gfn, uint64_t frames);

/* As ept_protect(), and all CPUs know of it. */
int must_check guest_protect(struct memory *mem, gfn_t gfn, uint64_t frames, unsigned int perms);

/* The memory is lost: the guest gets a machine check where it touches it. As ept_poison_range(). */
int must_check guest_poison(struct memory *mem, gfn_t gfn, uint64_t frames);

/* Undoes the splits that executing has made, all of them. Returns how many tables went away. */
uint64_t guest_recover_nx(struct memory *mem);

#endif
