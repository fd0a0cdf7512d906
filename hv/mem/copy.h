/* SPDX-License-Identifier: MIT */
/* Contents of frames: copying them, and writing what a page source sent. */
#ifndef HV_MEM_COPY_H
#define HV_MEM_COPY_H

#include "hv/source/source.h"
#include "mm/machine.h"

/* Frames of a level, as an order of the frame allocator. */
static inline unsigned int level_order(enum pg_level level)
{
	return 9 * (level - 1u);
}

/* Copies 4 KiB, both aligned to words: so the compiler does not look at the edges. */
static inline void page_copy(void *to, const void *from)
{
	__builtin_memcpy(__builtin_assume_aligned(to, sizeof(uint64_t)),
			 __builtin_assume_aligned(from, sizeof(uint64_t)), PAGE_SIZE);
}

/* Copies a piece page by page. */
static inline void copy_frames(hpa_t to, hpa_t from, enum pg_level level)
{
	for (uint64_t at = 0; at < level_frames(level) << PAGE_SHIFT; at += PAGE_SIZE)
		page_copy(direct(hpa(to.v + at)), direct(hpa(from.v + at)));
}

/**
 * page_write() - write a source's contents to a frame.
 * @home: the frame that holds contents which are in place already; copied if it is not @to
 */
static inline void page_write(hpa_t to, const struct page_reply *contents, hpa_t home,
			      enum pg_level level)
{
	if (contents->data)
		page_copy(direct(to), contents->data);
	else if (!contents->in_place)
		__builtin_memset(direct(to), 0, level_frames(level) << PAGE_SHIFT);
	else if (to.v != home.v)
		copy_frames(to, home, level);
}

#endif
