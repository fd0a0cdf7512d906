/* SPDX-License-Identifier: MIT */
/* Looking into a guest's memory, and the note of what is dirty. See hv/mem/memory.h. */
#include "hv/mem/memory.h"

#include "mm/machine.h"

void *mem_page(const struct memory *mem, gfn_t gfn)
{
	hpa_t frame;

	return ept_page(&mem->ept, gfn, &frame) ? direct(frame) : NULL;
}

void mem_note_dirty(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	_Atomic uint64_t *logged = atomic_load_explicit(&mem->logged, memory_order_acquire);
	gfn_t end = MIN(gfn + frames, mem->frames);

	for (; logged && gfn < end; gfn++)
		atomic_fetch_or_explicit(&logged[gfn / 64], UINT64_C(1) << gfn % 64,
					 memory_order_release);
}
