/* SPDX-License-Identifier: MIT */
/*
 * The host frames behind a guest's memory: naturally aligned blocks, kept as extents of contiguous
 * guest frames on contiguous host frames. An address space and its clones refer to the same blocks.
 * A block's head counts the extents that use it; at 0 the block is free (ept/rmap.h).
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

/* Looks up the frames of the whole machine. backing_init() makes it. */
extern struct ept_rmap machine_rmap;

/* Protects all extents, and machine_rmap's spaces during a lookup. Wait for nobody while you hold
 * it. */
extern struct spinlock backing_lock;

/* Call this before the first VM is made. */
void backing_init(void);

/* Takes `frames` frames, a multiple of the block of `level`. -ENOMEM: nothing is taken. */
int must_check backing_take(struct backing *b, enum pg_level level, uint64_t frames);

/* Fills frames from gfn on with zeros, `frames` of them or fewer. Nobody else may use the backing
 * yet. Return: how many; 0: there are none. */
uint64_t backing_zero(const struct backing *b, gfn_t gfn, uint64_t frames);

/* Drops every reference; frees the blocks that nobody else refers to. */
void backing_give(struct backing *b);

/* Maps all of it from gfn 0 on, absent. Return: 0, or as ept_map(). Flush: none. */
int must_check backing_map(const struct backing *b, struct ept_cpu *me);

/* Lets lookups find it. Call this once. EPT_FULL: too many address spaces. */
int must_check backing_register(struct backing *b, struct ept *ept);

/* Makes *b the same blocks at the same guest frames, for another address space. Call
 * backing_register() next. -ENOMEM: nothing is taken. */
int must_check backing_share(struct backing *b, const struct backing *from);

/* Adds a block of the caller's that backs gfn and what follows; owns it from then on. -ENOMEM: the
 * caller still owns it. */
int must_check backing_add(struct backing *b, struct ept *ept, gfn_t gfn, hpa_t block,
			   enum pg_level level);

/* Lets lookups find what backs [from, from + frames) also from `to` on. -ENOMEM; EPT_INVALID: not
 * in the address space. */
int must_check backing_alias(struct backing *b, struct ept *ept, gfn_t from, gfn_t to,
			     uint64_t frames);

/* The frames at `now` back [gfn, gfn + frames). Drops the references to old blocks that lie wholly
 * in the range; keeps the others until the memory ends. */
void backing_leave(struct backing *b, gfn_t gfn, uint64_t frames, hpa_t now);

/* The frame that backed gfn first, or HPA_NONE. */
hpa_t backing_frame(const struct backing *b, gfn_t gfn);

/* Frames of its own that can back the whole range of `level` at gfn as one leaf, and to which no
 * other address space refers; or HPA_NONE. */
hpa_t backing_whole(const struct backing *b, gfn_t gfn, enum pg_level level);

/* The head of the block that holds this frame, or HPA_NONE. Hold backing_lock. */
hpa_t backing_head(const struct backing *b, hpa_t frame);

#endif
