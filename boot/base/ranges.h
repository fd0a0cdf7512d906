/* SPDX-License-Identifier: MIT */
/*
 * A bounded list of ranges of frames, sorted and merged: what the firmware's memory map becomes.
 * Pure. A list that is full drops the smallest of its pieces and counts what it dropped.
 */
#ifndef BOOT_BASE_RANGES_H
#define BOOT_BASE_RANGES_H

#include "hv/config/boot_info.h"

struct ranges {
	unsigned int n;
	uint64_t dropped; /* frames that found no room */
	uint64_t beyond;  /* frames that ranges_limit() took out */
	struct boot_range r[BOOT_RANGES_MAX];
};

/* Adds [pfn, pfn + frames); what was there already stays once. */
void ranges_add(struct ranges *list, uint64_t pfn, uint64_t frames);

/* Takes [pfn, pfn + frames) out, wherever the list has parts of it. */
void ranges_remove(struct ranges *list, uint64_t pfn, uint64_t frames);

/* Takes out what lies at `end` or beyond, and counts it. */
void ranges_limit(struct ranges *list, uint64_t end);

/* Makes *out the list with both ends of each range moved outwards to multiples of `step` frames, a
 * power of two. */
void ranges_round(struct ranges *out, const struct ranges *list, uint64_t step);

/* Sum of all frames. */
uint64_t ranges_frames(const struct ranges *list);

/**
 * ranges_best_fit() - the smallest range that has room for `frames` below the frame `limit`.
 * Return: the first frame of that room, or UINT64_MAX.
 */
uint64_t ranges_best_fit(const struct ranges *list, uint64_t frames, uint64_t limit);

#endif
