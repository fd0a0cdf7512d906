/* SPDX-License-Identifier: MIT */
/* The firmware's memory map, and leaving it behind. */
#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "boot/firmware/memory.h"
#include "mm/frame.h"

#define SLACK    (8 * KIB) /* room for the descriptors that our own allocations add */
#define LOW_PFN  (MIB >> PAGE_SHIFT)
#define ATTEMPTS 8
#define PFN_END  (UINT64_C(1) << 40) /* physical addresses have at most 52 bits */

#define RESERVED_MAX (BOOT_MODULES_MAX + 4)

static struct boot_range reserved[RESERVED_MAX];
static unsigned int nreserved;

void memmap_reserve(uint64_t pfn, uint64_t frames)
{
	/* One for each module, the plan's two and the image: RESERVED_MAX is enough. */
	reserved[nreserved++] = (struct boot_range){ pfn, frames };
}

void memmap_take(struct memory_map *map)
{
	UINT32 version;
	EFI_STATUS status = EFI_BUFFER_TOO_SMALL;

	if (!map->first) {
		UINTN bytes = 0;

		firmware.bs->GetMemoryMap(&bytes, NULL, &map->key, &map->stride, &version);
		map->room = bytes + SLACK;
		status = firmware.bs->AllocatePool(EfiLoaderData, map->room, (void **)&map->first);
		if (EFI_ERROR(status))
			refuse("no memory for a copy of the memory map");
	}
	map->bytes = map->room;
	status = firmware.bs->GetMemoryMap(&map->bytes, map->first, &map->key, &map->stride,
					   &version);
	if (EFI_ERROR(status))
		refuse("the firmware does not give its memory map (status 0x%lx)", status);
}

static const EFI_MEMORY_DESCRIPTOR *next(const struct memory_map *map,
					 const EFI_MEMORY_DESCRIPTOR *d)
{
	const char *at = d ? (const char *)d + map->stride : (const char *)map->first;

	return at < (const char *)map->first + map->bytes ? (const EFI_MEMORY_DESCRIPTOR *)at
							  : NULL;
}

/* Adds the part from 1 MiB on: below lie the page that starts CPUs, and the PC's old devices. */
static void add(struct ranges *list, const EFI_MEMORY_DESCRIPTOR *d)
{
	uint64_t pfn = d->PhysicalStart >> PAGE_SHIFT, end = pfn + d->NumberOfPages;

	if (!(d->Attribute & EFI_MEMORY_WB))
		return;
	if (pfn > PFN_END || d->NumberOfPages > PFN_END - pfn)
		refuse("the firmware's memory map is broken: %lu pages at 0x%lx",
		       (uint64_t)d->NumberOfPages, (uint64_t)d->PhysicalStart);
	if (end > LOW_PFN)
		ranges_add(list, MAX(pfn, LOW_PFN), end - MAX(pfn, LOW_PFN));
}

static bool is_free_memory(UINT32 type)
{
	return type == EfiConventionalMemory || type == EfiBootServicesCode ||
	       type == EfiBootServicesData || type == EfiLoaderCode || type == EfiLoaderData;
}

void memmap_conventional(const struct memory_map *map, struct ranges *list)
{
	*list = (struct ranges){ .n = 0 };
	for (const EFI_MEMORY_DESCRIPTOR *d = next(map, NULL); d; d = next(map, d))
		if (d->Type == EfiConventionalMemory)
			add(list, d);
	ranges_limit(list, FRAME_PFN_END);
}

void memmap_usable(const struct memory_map *map, struct ranges *usable)
{
	*usable = (struct ranges){ .n = 0 };
	for (const EFI_MEMORY_DESCRIPTOR *d = next(map, NULL); d; d = next(map, d))
		if (is_free_memory(d->Type))
			add(usable, d);
	for (unsigned int i = 0; i < nreserved; i++)
		ranges_remove(usable, reserved[i].pfn, reserved[i].frames);
	ranges_limit(usable, FRAME_PFN_END);
}

void memmap_ram(const struct memory_map *map, struct ranges *ram)
{
	*ram = (struct ranges){ .n = 0 };
	for (const EFI_MEMORY_DESCRIPTOR *d = next(map, NULL); d; d = next(map, d))
		if (is_free_memory(d->Type) || d->Type == EfiACPIReclaimMemory)
			add(ram, d);
	ranges_limit(ram, FRAME_PFN_END);
}

void boot_services_exit(struct memory_map *map)
{
	EFI_BOOT_SERVICES *bs = firmware.bs;
	EFI_STATUS status = EFI_ABORTED;

	memmap_take(map);
	pci_quiet();
	/* The map may change while the firmware itself lets go; its key is then stale. Nothing
	 * is allocated in between: the buffer has room to spare. */
	for (unsigned int i = 0; i < ATTEMPTS && EFI_ERROR(status); i++) {
		memmap_take(map);
		status = bs->ExitBootServices(firmware.image, map->key);
	}
	/* After the first attempt the firmware may be half gone: not even its console is safe. */
	firmware.bs = NULL;
	__asm__ volatile("cli" : : : "memory");
	if (EFI_ERROR(status))
		refuse("ExitBootServices failed (status 0x%lx)", (uint64_t)status);
}
