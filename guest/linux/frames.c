/* SPDX-License-Identifier: MIT */
/* Which frames lie behind our memory, and what Cleave is told of them: hv/platform/platform.h. */
#include <fcntl.h>
#include <sys/io.h>
#include <unistd.h>

#include "check.h"

#define GIVE_PORT    0x5c4
#define GIVE_2M_PORT 0x5c8
#define HUGE_PORT    0x5cc
/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME   ((1ull << 55) - 1)

static int pagemap = -1;

void frames_open(void)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		give_up("no /proc/self/pagemap");
}

static uint64_t entry(const char *page)
{
	uint64_t value = 0;
	off_t at = (off_t)((uintptr_t)page / PAGE_BYTES * sizeof(value));

	if (pread(pagemap, &value, sizeof(value), at) != sizeof(value))
		give_up("no word on a page");
	return value & PAGEMAP_PRESENT ? value & PAGEMAP_FRAME : 0;
}

/* They are one large leaf of our page tables, or as good as one. */
static uint64_t huge_frame(const char *at)
{
	uint64_t value[HUGE_PAGES], first;
	off_t where = (off_t)((uintptr_t)at / PAGE_BYTES * sizeof(*value));

	if (pread(pagemap, value, sizeof(value), where) != sizeof(value))
		give_up("no word on 512 pages");
	first = value[0] & PAGEMAP_FRAME;
	for (unsigned int i = 0; i < HUGE_PAGES; i++)
		if (!(value[i] & PAGEMAP_PRESENT) || (value[i] & PAGEMAP_FRAME) != first + i)
			return 0;
	return first % HUGE_PAGES ? 0 : first;
}

bool frames_give(const char *at)
{
	uint64_t frame = entry(at);

	if (frame)
		outl((uint32_t)frame, GIVE_PORT);
	return frame;
}

bool frames_give_huge(const char *at)
{
	uint64_t frame = huge_frame(at);

	if (frame)
		outl((uint32_t)frame, GIVE_2M_PORT);
	return frame;
}

uint64_t frames_tell_huge(const char *from, const char *end)
{
	uintptr_t at = ((uintptr_t)from + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
	uint64_t told = 0;

	for (; at + HUGE_BYTES <= (uintptr_t)end; at += HUGE_BYTES) {
		uint64_t frame = huge_frame((const char *)at);

		if (!frame)
			continue;
		outl((uint32_t)frame, HUGE_PORT);
		told++;
	}
	return told;
}
