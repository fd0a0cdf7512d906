/* SPDX-License-Identifier: MIT */
/*
 * Where our own memory lies. Guests need free aligned 1 GiB frames, of which a small machine has
 * one or two, so our own memory goes into the smallest hole outside of them.
 */
#include "boot/base/refuse.h"
#include "boot/firmware/memory.h"
#include "mm/frame.h"
#include "mm/machine.h"

#define FRAMES_IN_GIB  (GIB >> PAGE_SHIFT)
#define FRAMES_IN_PAGE (PAGE_SIZE / sizeof(struct frame)) /* their descriptors */
#define EARLY_BASE     128 /* table pages of the image, the stacks' and the devices' mappings */

/* Takes every aligned 1 GiB frame that will be free as a whole out of `from`. */
static void spare_gib_frames(struct ranges *from, const struct ranges *usable)
{
	for (unsigned int i = 0; i < usable->n; i++) {
		uint64_t end = usable->r[i].pfn + usable->r[i].frames;
		uint64_t pfn = ALIGN_UP(usable->r[i].pfn, FRAMES_IN_GIB);

		if (pfn + FRAMES_IN_GIB <= end)
			ranges_remove(from, pfn, ALIGN_DOWN(end - pfn, FRAMES_IN_GIB));
	}
}

/* Return: does the firmware give it? */
static bool take(EFI_ALLOCATE_TYPE how, uint64_t pages, EFI_PHYSICAL_ADDRESS *at)
{
	return !EFI_ERROR(firmware.bs->AllocatePages(how, EfiLoaderData, pages, at));
}

hpa_t place_pages(uint64_t pages, uint64_t limit, const char *what)
{
	static struct memory_map map;
	static struct ranges holes, usable;
	EFI_PHYSICAL_ADDRESS at;
	uint64_t pfn;

	/* The direct map ends there. */
	limit = MIN(limit, FRAME_PFN_END << PAGE_SHIFT);
	at = limit - 1;
	memmap_take(&map);
	memmap_conventional(&map, &holes);
	memmap_usable(&map, &usable);
	spare_gib_frames(&holes, &usable);
	/* The firmware may need a page of that very hole to note that we took it: try the next. */
	while ((pfn = ranges_best_fit(&holes, pages, limit >> PAGE_SHIFT)) != UINT64_MAX) {
		at = pfn << PAGE_SHIFT;
		if (take(AllocateAddress, pages, &at))
			break;
		ranges_remove(&holes, pfn, pages);
		at = limit - 1;
	}
	if (pfn == UINT64_MAX && !take(AllocateMaxAddress, pages, &at))
		refuse("not enough memory: %lu KiB for %s", pages * PAGE_SIZE / KIB, what);
	memmap_reserve(at >> PAGE_SHIFT, pages);
	return hpa(at);
}

/* Below 1 MiB nothing of ours competes, and the frame pool never gets any of it. */
static hpa_t place_trampoline(void)
{
	EFI_PHYSICAL_ADDRESS at = MIB - 1;

	if (EFI_ERROR(firmware.bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &at)))
		refuse("no page below 1 MiB is free: the other CPUs could not start");
	return hpa(at);
}

/* Descriptors for each GiB that has usable memory, up to the last frame of all. Each arrival looks
 * at one: they begin where 2 MiB pages can map them. */
static void place_descriptors(struct boot_plan *plan, const struct ranges *usable)
{
	const struct boot_range *last = &usable->r[usable->n - 1];
	uint64_t bytes;

	ranges_round(&plan->described, usable, FRAME_SECTION);
	ranges_limit(&plan->described, ALIGN_UP(last->pfn + last->frames, FRAMES_IN_PAGE));
	bytes = ranges_frames(&plan->described) * sizeof(struct frame);
	plan->frames =
		place_pages((bytes + 2 * MIB) / PAGE_SIZE - 1, UINT64_MAX, "the frame descriptors");
	plan->frames.v = ALIGN_UP(plan->frames.v, 2 * MIB);
}

void place_plan(struct boot_plan *plan)
{
	static struct memory_map map;
	static struct ranges usable;

	memmap_take(&map);
	memmap_usable(&map, &usable);
	if (!usable.n)
		refuse("no usable memory above 1 MiB");
	place_descriptors(plan, &usable);
	/* The direct map: at both ends of each range a page table, a directory and a table of
	 * directories, and where there are no larger pages a directory for each GiB. The
	 * descriptors: at most two page tables and a directory for each GiB. */
	plan->nearly = EARLY_BASE + MAX_CPUS * CPU_STACKS * (STACK_BYTES >> PAGE_SHIFT) +
		       6 * (map.bytes / map.stride) +
		       4 * (ranges_frames(&plan->described) / FRAMES_IN_GIB + 1);
	plan->early = place_pages(plan->nearly, 4 * GIB, "the page tables");
	plan->trampoline = place_trampoline();
}
