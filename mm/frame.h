/* SPDX-License-Identifier: MIT */
/*
 * The frames of the machine: a buddy allocator of naturally aligned blocks of 2^order frames,
 * from 4 KiB (order 0) to 1 GiB (order 18).
 *
 * Pure: it touches memory only through `virt_offset`, so the same file runs on the host over an
 * arena and in root mode over the direct map.
 *
 * The caller of frame_alloc() owns the block and its head's `owner` and `refs`, until it gives the
 * block back with the same order.
 */
#ifndef MM_FRAME_H
#define MM_FRAME_H

#include <stdatomic.h>

#include "mm/lock.h"
#include "mm/types.h"

#define FRAME_ORDER_4K 0
#define FRAME_ORDER_2M 9
#define FRAME_ORDER_1G 18
#define FRAME_ORDERS   19
#define FRAME_JUNK     0xDB /* fills freed frames if `junk` is set */

enum frame_state {
	FRAME_TAIL = 0,        /* inside a block, free or allocated */
	FRAME_FREE,            /* head of a free block */
	FRAME_USED,            /* head of an allocated block */
	FRAME_RESERVED = 0xff, /* not ours: firmware, a hole, the hypervisor's image */
};

/* Frames are counted in 32 bits: memory from 16 TiB on cannot be added. */
#define FRAME_PFN_END UINT64_C(0xffffffff)

/* Descriptors come in sections, one for each GiB: a block never spans two. */
#define FRAME_SECTION  (UINT64_C(1) << FRAME_ORDER_1G)
#define FRAME_SECTIONS ((FRAME_PFN_END + FRAME_SECTION) / FRAME_SECTION)

/* One for each 4 KiB frame: 16 bytes, 0.4 % of memory. */
struct frame {
	union {
		struct {
			uint32_t next; /* while FREE: neighbours in the list, as frame indexes */
			uint32_t prev;
		};
		_Atomic uint64_t owner; /* while USED: the owner's own, 0 at allocation */
	};
	_Atomic uint32_t refs; /* while USED: the owner's own, 0 at allocation */
	uint8_t state;         /* enum frame_state */
	uint8_t order;         /* of the block, valid in its head */
	uint16_t unused;
};

_Static_assert(1000 * sizeof(struct frame) <= 4 * PAGE_SIZE, "0.4 % of the memory, at most");

struct frame_pool {
	struct frame
		*frames;   /* frames[i] describes host frame base_pfn + i, where there[] says so */
	uint64_t base_pfn; /* multiple of 2^18, so that alignment of indexes is alignment */
	uint64_t nframes;  /* length of frames[] */
	uintptr_t virt_offset; /* virtual address of host frame f: (f << 12) + virt_offset */
	uint64_t there[FRAME_SECTIONS / 64]; /* a bit for each section that has descriptors */
	bool junk; /* spoil what is freed with FRAME_JUNK (debug builds, host tests) */

	struct spinlock lock; /* protects everything below, and the free frames' list words */
	uint32_t free_head[FRAME_ORDERS];
	uint64_t free_blocks[FRAME_ORDERS]; /* free blocks of each order */
	uint64_t free;                      /* frames that are free, of all orders */
	uint64_t total;                     /* frames that were ever added */
	uint64_t low_water;                 /* the fewest that were ever free */
};

/**
 * frame_pool_init() - make an empty pool; add memory with frame_add().
 * @frames: nframes entries, the caller's for good. The pool touches a section of them only once
 * memory in it was added; a hole in memory needs no descriptors.
 * @base_pfn: host frame of frames[0]; a multiple of 2^18
 * @virt_offset: add it to a host-physical address to get a pointer
 * @junk: fill freed memory with FRAME_JUNK; of blocks of 2 MiB and more, the end of each cache
 * line
 */
void frame_pool_init(struct frame_pool *pool, struct frame *frames, uint64_t base_pfn,
		     uint64_t nframes, uintptr_t virt_offset, bool junk);

/**
 * frame_add() - give the frames [pfn, pfn + n) to the pool. Keeps their contents. Map all
 * descriptors of their sections first; clears those of new sections.
 * Return: 0, or -EINVAL: outside frames[], or overlaps frames added before; nothing is added.
 */
int must_check frame_add(struct frame_pool *pool, uint64_t pfn, uint64_t n);

/* The order of the smallest block that holds so many bytes. */
static inline unsigned int frame_order(uint64_t bytes)
{
	unsigned int order = 0;

	while ((PAGE_SIZE << order) < bytes)
		order++;
	return order;
}

/**
 * frame_alloc() - take a block of 2^order frames, aligned to its size. Contents undefined.
 * Return: its address, or HPA_NONE if no block of that order is left.
 */
hpa_t must_check frame_alloc(struct frame_pool *pool, unsigned int order);

/**
 * frame_free() - give back a block. Merges it with its free buddies.
 * @order: as it was allocated; refuses a mismatch, a double free, a foreign address
 * Return: 0, or -EINVAL (nothing is changed then).
 */
int must_check frame_free(struct frame_pool *pool, hpa_t block, unsigned int order);

/* As frame_free(), of a block that nobody has written to: it is left as it is. */
int must_check frame_free_unused(struct frame_pool *pool, hpa_t block, unsigned int order);

/* Pointer to a host-physical address that the pool's direct mapping covers. */
static inline void *frame_virt(const struct frame_pool *pool, hpa_t a)
{
	return (void *)(uintptr_t)(a.v + pool->virt_offset);
}

/* The descriptor of the frame that holds `a`. Make sure that `a` lies in the pool. */
static inline struct frame *frame_of(const struct frame_pool *pool, hpa_t a)
{
	return &pool->frames[(a.v >> PAGE_SHIFT) - pool->base_pfn];
}

/* Free blocks of at least this order, counted in blocks of this order. */
uint64_t frame_count_free(struct frame_pool *pool, unsigned int order);

/**
 * frame_pool_check() - verify lists, counters, buddies and, if junk is set, that free memory still
 * holds the junk: a write after free shows here.
 * Return: NULL if all is well, or a sentence with what is not.
 */
const char *frame_pool_check(struct frame_pool *pool);

#endif
