/* SPDX-License-Identifier: MIT */
/* Which entries map a frame, in all memories: the lookups of ept/rmap.h, which walk tables. */
#ifndef HV_MEM_REVERSE_H
#define HV_MEM_REVERSE_H

#include "ept/rmap.h"

/**
 * reverse_find() - find all entries in all memories that map this 4 KiB frame: see ept_rmap_find().
 * @visit: called under backing_lock: do not flush in it, do not wait
 * Return: the number of entries.
 */
unsigned int reverse_find(hpa_t frame, void (*visit)(void *ctx, const struct ept_mapping *m),
			  void *ctx);

/* Counts what reverse_find() would find. Hold backing_lock. */
unsigned int reverse_count_locked(hpa_t frame);

/* Entries in all memories that map something of this block of 2^order frames. */
uint64_t reverse_count(hpa_t block, unsigned int order);

#endif
