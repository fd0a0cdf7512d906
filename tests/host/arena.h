/* SPDX-License-Identifier: MIT */
/*
 * Host memory that plays the machine's: an anonymous mapping, at a made-up physical address, with
 * a frame pool over it. The mapping is lazy, so an arena of many GiB costs what is touched of it.
 */
#ifndef TESTS_HOST_ARENA_H
#define TESTS_HOST_ARENA_H

#include "mm/frame.h"

#define ARENA_BASE GIB /* physical address of an arena's first frame */

struct arena {
	struct frame_pool pool;
	struct frame *frames; /* the pool's descriptors */
	uint64_t nframes;
	void *memory; /* what frame_virt() points into */
};

/**
 * arena_init() - map the memory and make a pool that owns all of it.
 * @frames: 4 KiB frames
 * @junk: fill freed frames, as debug builds do
 * Ends the process if the host has no memory.
 */
void arena_init(struct arena *arena, uint64_t frames, bool junk);

/* The same, but nothing is added to the pool yet: all frames are FRAME_RESERVED. */
void arena_init_empty(struct arena *arena, uint64_t frames, bool junk);

/* Unmaps everything; pointers into it are dead from here on. */
void arena_fini(struct arena *arena);

/* Number of the arena's first frame. */
static inline uint64_t arena_pfn(void)
{
	return ARENA_BASE >> PAGE_SHIFT;
}

#endif
