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

/* Reads the firmware's memory map again. The first call allocates the buffer, with room to spare.
 */
void memmap_take(struct memory_map *map);

/* Lists what the firmware has free at this moment. */
void memmap_conventional(const struct memory_map *map, struct ranges *list);

/* Lists the memory that is free once the firmware is gone, without what is reserved. */
void memmap_usable(const struct memory_map *map, struct ranges *usable);

/* Lists all memory from 1 MiB on that can be cached, for the direct map. */
void memmap_ram(const struct memory_map *map, struct ranges *ram);

/* Reserves frames for good: memmap_usable() leaves them out. */
void memmap_reserve(uint64_t pfn, uint64_t frames);

/* Takes the bus from all devices and calls ExitBootServices. *map is then the firmware's last
 * memory map, and interrupts are off. */
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
