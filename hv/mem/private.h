/* SPDX-License-Identifier: MIT */
/*
 * Who owns a frame. Most of a VM's memory lies in the blocks of its backing (hv/mem/backing.h). A
 * 4 KiB page that was copied or relocated has a frame of its own, whose `refs` counts the pages
 * that map it: clones share it, copy-on-write. At 0 the frame is free.
 */
#ifndef HV_MEM_PRIVATE_H
#define HV_MEM_PRIVATE_H

#include "hv/mem/memory.h"

/* Is this a page's own frame? Else it lies in a backing block. */
bool private_is(hpa_t frame);

/* Does this entry hold a reference on its page's own frame? A clone's absent page does not: it will
 * get another frame. */
bool private_maps(const struct ept_state *s);

/**
 * private_take() - take a fresh 4 KiB frame for the page at gfn alone. Contents undefined.
 * Return: its address, or HPA_NONE. Give it back by private_drop().
 */
hpa_t must_check private_take(struct memory *mem, gfn_t gfn);

/* Makes the caller's frame the page's own. */
void private_adopt(struct memory *mem, hpa_t frame, gfn_t gfn);

/* Drops a page's reference on its frame. Does nothing for a frame in a backing block. */
void private_drop(struct memory *mem, hpa_t frame);

/* Does nobody else refer to this frame? Freeze gfn, which maps it, first: then the answer holds
 * until ept_thaw(). */
bool private_sole(struct memory *mem, gfn_t gfn, hpa_t frame);

/* Counts the clone's references on the original's single frames. Call it after ept_clone(). */
void private_share(struct memory *clone);

/* Lets lookups find the single frames of a range that has moved here. */
void private_readdress(struct memory *mem, gfn_t gfn, uint64_t frames);

/* The memory ends: drops all its references. */
void private_drop_all(struct memory *mem);

#endif
