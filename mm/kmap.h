/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own address space: four-level page tables of root mode (SDM vol. 3A, "4-Level
 * Paging and 5-Level Paging"), one for all CPUs.
 *
 * Guarantees: no page is both writable and executable, neither by itself nor through the
 * direct map; nothing is accessible to CPL 3; page 0 is not mapped. kmap_map() refuses what would
 * break the first two, kmap_check() verifies all of it by reading the tables.
 *
 * Table pages come from the pages handed to kmap_init() and, once these are used up, from
 * machine_frames. kmap never gives them back: the few ranges that are unmapped get mapped again, or
 * lie in tables shared with others.
 */
#ifndef MM_KMAP_H
#define MM_KMAP_H

#include "mm/types.h"

/* Rights. Everything that is mapped can be read. */
enum {
	KMAP_R = 0,
	KMAP_W = 1,
	KMAP_X = 2,
	KMAP_UC = 4, /* uncached: devices */
};

/**
 * kmap_init() - begin an empty address space.
 * @pages: host-physical address of memory for tables, mapped 1:1 until kmap_entered()
 * @npages: how many frames; all become kmap's
 * @gib_pages: the CPU has 1 GiB pages
 * Return: 0, or -EINVAL if not even the root fits.
 */
int must_check kmap_init(hpa_t pages, uint64_t npages, bool gib_pages);

/* CR3 of this address space: the root table, below 4 GiB if @pages was. */
uint64_t kmap_cr3(void);

/* Tells kmap that the boot CPU uses this address space: it reaches tables by direct() now. */
void kmap_entered(void);

/**
 * kmap_page() - take one zeroed frame, for good: a table or a piece of a stack.
 * Return: its address, or HPA_NONE.
 */
hpa_t must_check kmap_page(void);

/**
 * kmap_map() - map [va, va + bytes) to the memory at pa, in the largest pages that fit.
 * All three are multiples of 4 KiB. Nothing of the range may be mapped yet. Flush: none.
 * @rights: KMAP_R, KMAP_W or KMAP_X, with KMAP_UC; not both of KMAP_W and KMAP_X
 * Return: 0; -EINVAL: bad arguments; -EEXIST: something is mapped there; -ENOMEM: no table page.
 * After the last two, part of the range may be mapped.
 */
int must_check kmap_map(uint64_t va, hpa_t pa, uint64_t bytes, unsigned int rights);

/**
 * kmap_protect() - change the rights of a range that is mapped, in whole pages of its own.
 * Flushes the calling CPU. Call kmap_flush() on every other CPU that runs.
 * Return: 0; -EINVAL: bad rights, or a page reaches out of the range; -ENOENT: nothing is mapped
 * there. After an error, part of the range may be changed.
 */
int must_check kmap_protect(uint64_t va, uint64_t bytes, unsigned int rights);

/* Unmaps a range. Return, flush: as kmap_protect(). */
int must_check kmap_unmap(uint64_t va, uint64_t bytes);

/* Drops all translations of the calling CPU. No page of ours is global. */
void kmap_flush(void);

struct kmap_leaf {
	hpa_t pa;            /* of the byte that was asked for */
	enum pg_level level; /* of the page that maps it */
	unsigned int rights;
};

/**
 * kmap_lookup() - translate a virtual address by the tables. Takes no lock, so that a panic can use
 * it: tables never go away, and it reads an entry once.
 * Return: 0 and *leaf, or -ENOENT.
 */
int must_check kmap_lookup(uint64_t va, struct kmap_leaf *leaf);

/**
 * kmap_check() - walk all tables and verify the guarantees at the top of this file.
 * @bad: set to the address where one fails; unchanged otherwise
 * Return: NULL if all is well, or a sentence with what is not.
 */
const char *kmap_check(uint64_t *bad);

#endif
