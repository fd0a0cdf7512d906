/* SPDX-License-Identifier: MIT */
/*
 * Reverse lookup: which guest addresses map this frame?
 *
 * Backing is mapped in extents: contiguous guest frames on contiguous host frames, in one address
 * space. The extents are kept, not the pages: where an extent could map a frame is arithmetic, and
 * whether it does is what its tables say. So an arriving page has nothing to note, and there is no
 * counter for each 4 KiB frame. The head frame of each backing block counts in its `refs` the
 * extents that use the block, and the block is free when that is 0; how many entries refer to a
 * block, HGM's count of a huge page, is the sum of what a lookup finds (ept_rmap_count()).
 *
 * A page that went to a frame of its own (a private copy, a relocated page) is found by that
 * frame's owner word instead, which says the guest address: ept_rmap_own(). Clones have their
 * memory at the same addresses, so it is looked for there in each address space.
 */
#ifndef EPT_RMAP_H
#define EPT_RMAP_H

#include "ept/ept.h"

#define EPT_SPACES_MAX 8 /* address spaces that one rmap knows: those that have an extent */

/* The caller's, until it is removed. */
struct ept_extent {
	struct ept *ept;
	gfn_t gfn;
	uint64_t frames;
	hpa_t backing;
	unsigned int order; /* of the backing blocks, as frame_alloc() */
	struct ept_extent *next;
};

struct ept_rmap {
	struct frame_pool *pool;
	struct spinlock lock; /* protects the list and the spaces */
	struct ept_extent *first;
	struct ept *space[EPT_SPACES_MAX];
};

void ept_rmap_init(struct ept_rmap *rmap, struct frame_pool *pool);

/**
 * ept_rmap_add() - an extent was mapped: one more reference on each block that it uses.
 * Return: 0; EPT_FULL: too many address spaces; EPT_INVALID: outside of the address space or of the
 * pool, or the range and the blocks are not aligned to each other.
 */
int must_check ept_rmap_add(struct ept_rmap *rmap, struct ept_extent *extent);

/**
 * ept_rmap_remove() - it is unmapped. Calls unused() for each block that nobody refers to any more.
 */
void ept_rmap_remove(struct ept_rmap *rmap, struct ept_extent *extent,
		     void (*unused)(void *ctx, hpa_t block, unsigned int order), void *ctx);

/* Frames outside of the pool are mapped by nobody, as far as these know. */

/* The frame, 4 KiB and not part of an extent, is mapped at gfn, if at all: in whatever address
 * spaces have an extent. */
void ept_rmap_own(struct ept_rmap *rmap, hpa_t frame, gfn_t gfn);

/* An entry that maps a frame, whether the hardware sees it or not. */
struct ept_mapping {
	struct ept *ept;
	gfn_t gfn;              /* of that very frame */
	struct ept_state state; /* its level says how much the entry maps */
};

/**
 * ept_rmap_find() - all entries that map this 4 KiB frame.
 * @visit: called for each; the entry may change as soon as it returns
 * Return: how many.
 */
unsigned int ept_rmap_find(struct ept_rmap *rmap, hpa_t frame,
			   void (*visit)(void *ctx, const struct ept_mapping *m), void *ctx);

/* Entries, of any size and any kind but NONE, that map something of this block. */
uint64_t ept_rmap_count(struct ept_rmap *rmap, hpa_t block, unsigned int order);

/* References on the head: extents that use the block. */
uint32_t ept_rmap_refs(const struct ept_rmap *rmap, hpa_t block);

#endif
