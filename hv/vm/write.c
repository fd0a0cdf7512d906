/* SPDX-License-Identifier: MIT */
/* Writing what a guest begins with. See hv/vm/write.h. */
#include "hv/vm/write.h"

#include "hv/mem/fill.h"
#include "hv/mem/guest_memory.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* Places zeros where memory is absent, in the pieces that it grows by; in smaller ones where part
 * of a piece is here: a clone's pages come one by one. */
static int make_present(struct memory *mem, gfn_t gfn)
{
	enum pg_level piece = mem->pager.piece;
	int err;

	while ((err = fill_page(mem, cpu_id(), ALIGN_DOWN(gfn, level_frames(piece)), piece,
				&fill_zeros, FILL_LOAD, 0)) == EPT_SMALLER)
		piece--;
	return err;
}

/* Copies one page of the image; zeros behind its end. */
static int load_page(struct vm *vm, gfn_t gfn, const char *data, uint64_t bytes)
{
	int err = mem_page(&vm->mem, gfn) ? 0 : make_present(&vm->mem, gfn);

	/* It may be private, or tracked. */
	return err ? err : guest_write(&vm->mem, gpa(gfn << PAGE_SHIFT), data, bytes, GUEST_WAIT);
}

int vm_write(struct vm *vm, gpa_t to, const void *data, uint64_t bytes, uint64_t memory_bytes)
{
	for (uint64_t at = 0; at < memory_bytes; at += PAGE_SIZE) {
		uint64_t have = bytes > at ? MIN(bytes - at, PAGE_SIZE) : 0;
		int err = load_page(vm, (to.v + at) >> PAGE_SHIFT, (const char *)data + at, have);

		if (err)
			return err;
	}
	return 0;
}
