/* SPDX-License-Identifier: MIT */
/* The firmware's memory map, our own places in it, and leaving it behind. */
#ifndef BOOT_FIRMWARE_MEMORY_H
#define BOOT_FIRMWARE_MEMORY_H

#include "boot/base/efi.h"
#include "boot/base/plan.h"

/* A copy of the firmware's memory map, in a buffer with room to grow. */
struct memory_map {
	EFI_MEMORY_DESCRIPTOR *first;
	UINTN bytes, room; /* used and allocated, bytes */
	UINTN stride;      /* from one descriptor to the next, bytes */
	UINTN key;
};

/* Takes the firmware's memory map anew; allocates the buffer on the first call. */
void memmap_take(struct memory_map *map);

/* What the firmware has free at this moment. */
void memmap_conventional(const struct memory_map *map, struct ranges *list);

/* Memory that is free once the firmware is gone, without what memmap_reserve() was told of. */
void memmap_usable(const struct memory_map *map, struct ranges *usable);

/* All memory that behaves as such from 1 MiB on, for the direct map. */
void memmap_ram(const struct memory_map *map, struct ranges *ram);

/* These frames are in use for good: they belong to no list of usable memory. */
void memmap_reserve(uint64_t pfn, uint64_t frames);

/* Leaves boot services; the last word of the firmware is in *map. */
void boot_services_exit(struct memory_map *map);

/**
 * place_pages() - allocate memory that stays ours, outside of free aligned 1 GiB frames if that
 * is possible at all, so that these stay whole for guests.
 * @pages: how many, 4 KiB each
 * @limit: the memory ends at or below this address, bytes
 * @what: what for, in the words of the refusal
 */
hpa_t place_pages(uint64_t pages, uint64_t limit, const char *what);

/* Allocates what bring-up needs: frame descriptors, first table pages, the trampoline. */
void place_plan(struct boot_plan *plan);

#endif
