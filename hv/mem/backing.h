/* SPDX-License-Identifier: MIT */
/*
 * The host frames behind a guest's memory: naturally aligned blocks, kept as extents of contiguous
 * guest frames on contiguous host frames. An address space and its clones refer to the same blocks:
 * each head counts the extents that use it, and the block is free when that is 0 (ept/rmap.h).
 */
#ifndef HV_BACKING_H
#define HV_BACKING_H

#include "ept/rmap.h"

struct backing_page; /* of extents */

struct backing {
	enum pg_level level; /* size of the blocks that it began with */
	bool moved;          /* parts of blocks lie at other guest addresses: none is given back */
	struct backing_page *pages;
};

/* Where the whole machine's frames are looked up. hv_main() makes it. */
extern struct ept_rmap machine_rmap;

/* Protects machine_rmap's spaces while somebody looks, and all extents. Who holds it waits for
 * nobody. */
extern struct spinlock backing_lock;

/* Before the first VM. */
void backing_init(void);

/* Takes `frames` frames, a multiple of the block, and fills them with zeros if `zeroed`. -ENOMEM:
 * nothing is taken. */
int must_check backing_take(struct backing *b, enum pg_level level, uint64_t frames, bool zeroed);

/* Drops every reference; frees the blocks that nobody else refers to. */
void backing_give(struct backing *b);

/* Maps it all from gfn 0 on, absent. -ENOMEM. */
int must_check backing_map(const struct backing *b, struct ept_cpu *me);

/* From now on lookups find it. Once. -ENOSPC: too many address spaces. */
int must_check backing_register(struct backing *b, struct ept *ept);

/* The same blocks at the same guest frames, for another address space: to be registered. -ENOMEM:
 * nothing is taken. */
int must_check backing_share(struct backing *b, const struct backing *from);

/* One more block, of the caller's until now, that backs gfn and what follows. -ENOMEM: it still is.
 */
int must_check backing_add(struct backing *b, struct ept *ept, gfn_t gfn, hpa_t block,
			   enum pg_level level);

/* What backs [from, from + frames) may be found from `to` on, as well. -ENOMEM. */
int must_check backing_alias(struct backing *b, struct ept *ept, gfn_t from, gfn_t to,
			     uint64_t frames);

/* The address space has left [gfn, gfn + frames) of its blocks for the frames at `now`: drops its
 * references to the blocks that lie wholly in there. What cannot be dropped stays until the end. */
void backing_leave(struct backing *b, gfn_t gfn, uint64_t frames, hpa_t now);

/* Where gfn began: its frame, or HPA_NONE. */
hpa_t backing_frame(const struct backing *b, gfn_t gfn);

/* The frames that could back the whole range of this level at gfn as one leaf, and that no other
 * address space refers to; or HPA_NONE. */
hpa_t backing_whole(const struct backing *b, gfn_t gfn, enum pg_level level);

/* The head of the block that holds this frame, or HPA_NONE. The caller holds backing_lock. */
hpa_t backing_head(const struct backing *b, hpa_t frame);

#endif
