/* SPDX-License-Identifier: MIT */
/* The one machine that we run on: its frames, its table pages, its own address space. Root mode
 * only; hv/ hands ept/ what it needs of these. */
#ifndef MM_MACHINE_H
#define MM_MACHINE_H

#include "mm/frame.h"
#include "mm/table_cache.h"

/*
 * Virtual layout of root mode, canonical upper half. The image itself runs where the firmware
 * loaded it, mapped 1:1, each section with just the rights it needs. Page 0 is never mapped.
 *
 *	DIRECT_MAP	all RAM but the image, read-write, no-execute
 *	STACKS		stacks, each between two unmapped pages
 *	MMIO_MAP	devices, uncached
 *	FRAMES_MAP	frame descriptors by the frame's number; none for GiBs without memory
 */
#define DIRECT_MAP UINT64_C(0xffff800000000000)
#define STACKS     UINT64_C(0xffffa00000000000)
#define MMIO_MAP   UINT64_C(0xffffb00000000000)
#define FRAMES_MAP UINT64_C(0xffffc00000000000)

#define STACK_BYTES UINT64_C(16384)

/* Selectors of the descriptor tables that boot/ makes; a VM exit loads them again. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS  0x18

extern struct frame_pool machine_frames;
extern struct table_cache machine_tables;

static inline void *direct(hpa_t a)
{
	return (void *)(uintptr_t)(a.v + DIRECT_MAP);
}

/* The inverse of direct(). */
static inline hpa_t direct_hpa(const void *p)
{
	return hpa((uint64_t)(uintptr_t)p - DIRECT_MAP);
}

#endif
