/* SPDX-License-Identifier: MIT */
/*
 * Whose a frame is. Most of a VM's memory lies in the blocks of its backing (hv/mem/backing.h). A 4
 * KiB page that was copied or relocated has a frame of its own: that counts in its `refs` the pages
 * that map it (of clones, which share it until somebody writes), and is free when there is none.
 */
#ifndef HV_MEM_PRIVATE_H
#define HV_MEM_PRIVATE_H

#include "hv/mem/memory.h"

/* Is it a frame of some page's own? Else it lies in a backing block. */
bool private_is(hpa_t frame);

/* Does this entry count on a frame of its page's own? A clone's absent page does not: it will have
 * another one. */
bool private_maps(const struct ept_state *s);

/**
 * private_take() - a fresh 4 KiB frame for the page at gfn alone. Contents undefined.
 * Return: its address, or HPA_NONE.
 */
hpa_t must_check private_take(struct memory *mem, gfn_t gfn);

/* The frame, of the caller's until now, is the page's. */
void private_adopt(struct memory *mem, hpa_t frame, gfn_t gfn);

/* The page maps this frame no longer. Nothing happens to one that lies in a backing block. */
void private_drop(struct memory *mem, hpa_t frame);

/* Does nobody else refer to this frame, which is mapped at gfn and frozen? It stays so until it is
 * thawed. */
bool private_sole(struct memory *mem, gfn_t gfn, hpa_t frame);

/* After ept_clone(): the clone's entries refer to the original's single frames, too. */
void private_share(struct memory *clone);

/* The pages in the range have come from elsewhere: lookups find their frames here. */
void private_readdress(struct memory *mem, gfn_t gfn, uint64_t frames);

/* The VM ends. */
void private_drop_all(struct memory *mem);

#endif
