/* SPDX-License-Identifier: MIT */
/* The window's own page tables, which have the payload's for the rest: see guest/lib/window.h. */
#include "guest/lib/window.h"

#define WINDOW       (UINT64_C(1) << 39) /* the second entry of the top table */
#define WINDOW_BYTES (UINT64_C(1) << 21)

#define PRESENT  (UINT64_C(1) << 0)
#define WRITABLE (UINT64_C(1) << 1)
#define USER     (UINT64_C(1) << 2)
#define ACCESSED (UINT64_C(1) << 5)
#define DIRTY    (UINT64_C(1) << 6)
#define LARGE    (UINT64_C(1) << 7)
#define TABLE    (PRESENT | WRITABLE | USER | ACCESSED)
#define LEAF     (TABLE | DIRTY | LARGE)

#define ENTRIES 512

extern const uint64_t page_tables[ENTRIES]; /* guest/lib/tables.asm */

static uint64_t top[ENTRIES] __attribute__((aligned(4096)));
static uint64_t pointers[ENTRIES] __attribute__((aligned(4096)));
static uint64_t directory[ENTRIES] __attribute__((aligned(4096)));

void *window_at(uint64_t gpa)
{
	uint64_t offset = gpa & (WINDOW_BYTES - 1);

	top[0] = page_tables[0];
	top[1] = (uintptr_t)pointers | TABLE;
	pointers[0] = (uintptr_t)directory | TABLE;
	directory[0] = (gpa - offset) | LEAF;
	/* Nothing of it is global: a new CR3 forgets what the window showed. */
	asm volatile("mov %0, %%cr3" : : "r"(top) : "memory");
	return (void *)(WINDOW + offset);
}
