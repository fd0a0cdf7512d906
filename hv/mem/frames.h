/* SPDX-License-Identifier: MIT */
/*
 * Whose a frame is. Most of a VM's memory lies in the blocks of its backing (hv/mem/backing.h). A 4
 * KiB page that was copied or relocated has a frame of its own: that counts in its `refs` the pages
 * that map it (of clones, which share it until somebody writes), and is free when there is none.
 */
#ifndef HV_FRAMES_H
#define HV_FRAMES_H

#include "ept/relocate.h"
#include "hv/vm/vm.h"

/* Is it a frame of some page's own? Else it lies in a backing block. */
bool frame_is_single(hpa_t frame);

/**
 * frames_take() - a fresh 4 KiB frame for the page at gfn alone. Contents undefined.
 * Return: its address, or HPA_NONE.
 */
hpa_t must_check frames_take(struct vm *vm, gfn_t gfn);

/* The frame, of the caller's until now, is the page's. */
void frames_adopt(struct vm *vm, hpa_t frame, gfn_t gfn);

/* The page maps this frame no longer. Nothing happens to one that lies in a backing block. */
void frames_drop(struct vm *vm, hpa_t frame);

/* Does nobody else refer to this frame, which is mapped at gfn and frozen? It stays so until it is
 * thawed. */
bool frames_sole(struct vm *vm, gfn_t gfn, hpa_t frame);

/* After ept_clone(): the clone's entries refer to the original's single frames, too. */
void frames_share(struct vm *clone);

/* The pages in the range have come from elsewhere: lookups find their frames here. */
void frames_readdress(struct vm *vm, gfn_t gfn, uint64_t frames);

/* The VM ends. */
void frames_drop_all(struct vm *vm);

/**
 * frames_find() - all entries in all VMs that map this 4 KiB frame, as ept_rmap_find().
 * @visit: may not flush, nor wait
 */
unsigned int frames_find(hpa_t frame, void (*visit)(void *ctx, const struct ept_mapping *m),
			 void *ctx);

/* Entries in all VMs that map something of this block of 2^order frames. */
uint64_t frames_count(hpa_t block, unsigned int order);

#endif
