/* SPDX-License-Identifier: MIT */
/* Host memory that plays the machine's: see arena.h. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/host/arena.h"

static void *map_lazily(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("arena: mmap");
		exit(1);
	}
	return p;
}

void arena_init_empty(struct arena *arena, uint64_t frames, bool junk)
{
	arena->nframes = frames;
	arena->memory = map_lazily(frames * PAGE_SIZE);
	arena->frames = map_lazily(frames * sizeof(struct frame));
	frame_pool_init(&arena->pool, arena->frames, arena_pfn(), frames,
			(uintptr_t)arena->memory - ARENA_BASE, junk);
}

void arena_init(struct arena *arena, uint64_t frames, bool junk)
{
	arena_init_empty(arena, frames, junk);
	if (frame_add(&arena->pool, arena_pfn(), frames)) {
		fprintf(stderr, "arena: frame_add refused %llu frames\n",
			(unsigned long long)frames);
		exit(1);
	}
}

void arena_fini(struct arena *arena)
{
	munmap(arena->memory, arena->nframes * PAGE_SIZE);
	munmap(arena->frames, arena->nframes * sizeof(struct frame));
}
