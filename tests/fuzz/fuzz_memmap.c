/* SPDX-License-Identifier: MIT */
/*
 * The firmware's memory map, whatever it says. Each list is sorted, without overlaps, within what
 * addresses can reach and above the first MiB; and where the map is of few frames, each list has
 * just those frames that the map gives it.
 *
 *	byte 0	 1:0 how much longer a descriptor is than we know it, 8 bytes each
 *	then	 descriptors: type and attributes in one byte; address and number of pages, each in
 *		 shorthand (0, the number of a frame) or as it stands (1, 8 bytes)
 */
#include <setjmp.h>

#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "boot/firmware/memory.h"
#include "tests/fuzz/fuzz.h"

#define DESCRIPTORS_MAX 40
#define FEW             1024                 /* frames that are compared one by one */
#define LOW             256                  /* frames of the first MiB */
#define FRAMES_COUNTED  UINT64_C(0xffffffff) /* in 32 bits, of which one value means none */

static jmp_buf refused;
static bool broken; /* a descriptor reaches beyond what 52 bits of address can name */
static bool few;    /* all lie in the first FEW frames */
static bool free_at[FEW], usable_at[FEW], ram_at[FEW];

void refuse(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	fuzz_check(vsnprintf(line, sizeof(line), fmt, ap) > 20);
	va_end(ap);
	longjmp(refused, 1);
}

void pci_quiet(void)
{
}

/* UEFI 2.10, 7.2.3, "Memory Type Usage after ExitBootServices()". */
static void note(const EFI_MEMORY_DESCRIPTOR *d)
{
	uint64_t pfn = d->PhysicalStart >> 12, last = (UINT64_C(1) << 40);
	bool usable = (d->Type >= 1 && d->Type <= 4) || d->Type == 7;

	if (!(d->Attribute & 8) || !(usable || d->Type == 9))
		return;
	broken |= pfn > last || d->NumberOfPages > last - pfn;
	few &= pfn <= FEW && d->NumberOfPages <= FEW - pfn;
	for (uint64_t i = MAX(pfn, LOW); few && i < pfn + d->NumberOfPages; i++) {
		free_at[i] |= d->Type == 7;
		usable_at[i] |= usable;
		ram_at[i] = true;
	}
}

static uint64_t take_number(struct fuzz_input *in, bool as_it_stands, unsigned int shift)
{
	return as_it_stands ? fuzz_take(in, 8) : fuzz_take(in, 1) << (1 + shift);
}

static void take_map(struct fuzz_input *in, struct memory_map *map)
{
	unsigned int n = 0;
	char *at;

	map->stride = sizeof(EFI_MEMORY_DESCRIPTOR) + 8 * (fuzz_take(in, 1) & 3);
	map->room = DESCRIPTORS_MAX * map->stride;
	map->first = calloc(DESCRIPTORS_MAX, map->stride);
	for (at = (char *)map->first; in->n > 0 && n < DESCRIPTORS_MAX; n++, at += map->stride) {
		EFI_MEMORY_DESCRIPTOR *d = (EFI_MEMORY_DESCRIPTOR *)at;
		unsigned int what = (unsigned int)fuzz_take(in, 1);

		d->Type = what & 15;
		d->Attribute = what & 16 ? 0 : EFI_MEMORY_WB;
		d->PhysicalStart = take_number(in, what & 32, 12);
		d->NumberOfPages = take_number(in, what & 64, 0);
		note(d);
	}
	map->bytes = n * map->stride;
	/* From memory of just this size, so that reading beyond it is noticed. */
	map->first = realloc(map->first, map->bytes ? map->bytes : 1);
}

static void check(const struct ranges *list, const bool *must)
{
	static bool is[FEW];
	uint64_t end = 0;

	memset(is, 0, sizeof(is));
	for (unsigned int i = 0; i < list->n; i++) {
		const struct boot_range *r = &list->r[i];

		fuzz_check(r->frames && r->pfn >= LOW && (!i || r->pfn > end));
		fuzz_check(r->pfn < FRAMES_COUNTED && r->frames <= FRAMES_COUNTED - r->pfn);
		end = r->pfn + r->frames;
		if (few)
			memset(is + r->pfn, true, r->frames);
	}
	if (few)
		fuzz_check(list->dropped == 0 && memcmp(is, must, sizeof(is)) == 0);
}

static void read_map(const struct memory_map *map)
{
	static struct ranges list;

	if (setjmp(refused)) {
		fuzz_check(broken);
		return;
	}
	memset(&list, 0, sizeof(list));
	memmap_conventional(map, &list);
	check(&list, free_at);
	memmap_usable(map, &list);
	check(&list, usable_at);
	memmap_ram(map, &list);
	check(&list, ram_at);
	fuzz_check(!broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct memory_map map = { 0 };

	broken = false;
	few = true;
	memset(free_at, 0, sizeof(free_at));
	memset(usable_at, 0, sizeof(usable_at));
	memset(ram_at, 0, sizeof(ram_at));
	take_map(&in, &map);
	read_map(&map);
	free(map.first);
	return 0;
}
