/* SPDX-License-Identifier: MIT */
/*
 * The part of boot/ that runs while the firmware's boot services are there. What it learns goes
 * into `info`, what the part behind ExitBootServices needs besides into `plan` (boot/bringup.h).
 *
 * None of these functions returns an error: a machine or a configuration that cannot work is
 * refused on the spot, in one line, by refuse().
 */
#ifndef BOOT_FIRMWARE_H
#define BOOT_FIRMWARE_H

#include <efi.h>

#include "boot/bringup.h"
#include "boot/ranges.h"

struct firmware {
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *st;
	EFI_BOOT_SERVICES *bs; /* NULL after ExitBootServices */
	EFI_LOADED_IMAGE *loaded;
};

extern struct firmware firmware;

/* A copy of the firmware's memory map, in a buffer with room to grow. */
struct memory_map {
	EFI_MEMORY_DESCRIPTOR *first;
	UINTN bytes, room; /* used and allocated, bytes */
	UINTN stride;      /* from one descriptor to the next, bytes */
	UINTN key;
};

/* A file's description with its name behind it; a FAT name has at most 255 characters. */
#define FILE_NAME_MAX 256
union file_info {
	EFI_FILE_INFO info;
	char bytes[sizeof(EFI_FILE_INFO) + FILE_NAME_MAX * sizeof(CHAR16)];
};

/* Reads `\cleave.cfg`, `\cleave.opt` and the load options into *config. */
void options_load(struct hv_config *config);

/* Reads every `\guests\*.bin` into memory of its own. */
void modules_load(struct boot_info *info);

/* Opens the root folder of the volume that we were loaded from, or NULL where that has no files. */
EFI_FILE_PROTOCOL *volume_open(void);

/* Bytes in an open file. */
uint64_t file_bytes(EFI_FILE_PROTOCOL *file, const char *name);

/* Reads a whole file. */
void file_read(EFI_FILE_PROTOCOL *file, const char *name, void *to, uint64_t bytes);

/* ASCII text of a firmware string, or false if it is not ASCII or does not fit. */
bool ascii(char *to, size_t size, const CHAR16 *from);

/* Fills in the CPUs that are enabled, the boot CPU first. */
void find_cpus(struct boot_info *info, struct boot_plan *plan);

/* Adds one CPU, unless it is known or there is no room: then it is counted. */
void cpu_found(struct boot_plan *plan, uint32_t apic_id);

/* Finds the ACPI root pointer and the enabled CPUs. Return: is there a MADT? */
bool acpi_load(struct boot_info *info, struct boot_plan *plan);

/* Measures the time stamp counter. Return: kHz. */
uint64_t tsc_measure(void);

/* Takes the firmware's memory map anew; allocates the buffer on the first call. */
void memmap_take(struct memory_map *map);

/* Fills in the memory that is ours to use once the firmware is gone, without what is in use. */
void memmap_usable(const struct memory_map *map, struct ranges *usable);

/* What the firmware has free at this moment. */
void memmap_conventional(const struct memory_map *map, struct ranges *list);

/* All memory that behaves as such from 1 MiB on, for the direct map. */
void memmap_ram(const struct memory_map *map, struct ranges *ram);

/**
 * place_pages() - allocate memory that stays ours, outside of free aligned 1 GiB frames if that
 * is possible at all, so that these stay whole for guests.
 * @pages: how many, 4 KiB each
 * @limit: the memory ends at or below this address, bytes
 * @what: what for, in the words of the refusal
 */
hpa_t place_pages(uint64_t pages, uint64_t limit, const char *what);

/* Takes out of a list what place_pages() gave and where the image lies. */
void place_exclude(struct ranges *list);

/* Allocates what bring-up needs: frame descriptors, first table pages, the trampoline. */
void place_plan(struct boot_plan *plan);

/* Leaves boot services; the last word of the firmware is in *map. */
void boot_services_exit(struct memory_map *map);

#endif
