/* SPDX-License-Identifier: MIT */
/* Reading, writing and changing guest memory. See hv/mem/guest_memory.h. */
#include "hv/mem/guest_memory.h"

#include "hv/base/trace.h"
#include "ept/access.h"
#include "ept/range.h"
#include "hv/mem/family.h"
#include "hv/mem/own.h"
#include "hv/mem/pager.h"
#include "hv/mem/private.h"
#include "mm/err.h"
#include "mm/machine.h"

#define RECOVER_STEP 16 /* tables of one step; the CPUs pass in between */

/* --- copying ------------------------------------------------------------------------------ */

/* Brings what the page at gfn lacks. 0, EPT_NOT_HERE: look again; EPT_BUSY: it is on its way. */
static int bring(struct memory *mem, gfn_t gfn, int lacks)
{
	switch (lacks) {
	case EPT_FOREIGN:
		return own_copy(mem, cpu_id(), gfn);
	case EPT_NOT_HERE:
	case EPT_DISCARDED:
		return pager_bring(mem, cpu_id(), gfn);
	default:
		return lacks;
	}
}

static void wait_a_little(struct memory *mem)
{
	if (cpu_id() == 0)
		pager_poll(mem);
	mem_pass(mem);
}

/* Makes the page ready for the access. On 0, *at is its frame. */
static int reach(struct memory *mem, gfn_t gfn, unsigned int access, enum guest_wait wait,
		 hpa_t *at)
{
	for (;;) {
		int err = ept_reach(mem_handle(mem), gfn, access, at, mem_gather(mem));

		if (!err && access & EPT_W)
			mem_note_dirty(mem, gfn, 1);
		if (!err)
			return 0;
		err = bring(mem, gfn, err);
		if (err == EPT_BUSY && wait == GUEST_NOWAIT)
			return EPT_NOT_HERE;
		if (err == EPT_BUSY)
			wait_a_little(mem);
		else if (err && err != EPT_NOT_HERE && err != EPT_HERE)
			return err;
	}
}

/* Bytes from `at` to the end of its page, but no more than `bytes`. */
static uint64_t in_page(uint64_t at, uint64_t bytes)
{
	return MIN(bytes, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
}

int guest_read(struct memory *mem, gpa_t from, void *to, uint64_t bytes, enum guest_wait wait)
{
	uint64_t at = from.v, n;

	for (char *p = to; bytes; at += n, p += n, bytes -= n) {
		hpa_t page;
		int err = reach(mem, at >> PAGE_SHIFT, EPT_R, wait, &page);

		if (err)
			return err;
		n = in_page(at, bytes);
		__builtin_memcpy(p, (char *)direct(page) + (at & (PAGE_SIZE - 1)), n);
	}
	return 0;
}

int guest_write(struct memory *mem, gpa_t to, const void *from, uint64_t bytes,
		enum guest_wait wait)
{
	uint64_t at = to.v, n;

	for (const char *p = from; bytes; at += n, p += n, bytes -= n) {
		hpa_t page;
		int err = reach(mem, at >> PAGE_SHIFT, EPT_W, wait, &page);

		if (err)
			return err;
		n = in_page(at, bytes);
		__builtin_memcpy((char *)direct(page) + (at & (PAGE_SIZE - 1)), p, n);
	}
	return 0;
}

/* --- ranges ------------------------------------------------------------------------------- */

int guest_discard(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	int err;

	while ((err = ept_discard(mem_handle(mem), gfn, frames, mem_gather(mem))) == EPT_BUSY)
		mem_pass(mem);
	ept_sync(mem_gather(mem));
	if (!err)
		trace(TRACE_DISCARD, gfn, TRACE_EXTENT(frames, mem->vm));
	mem_note_dirty(mem, gfn, frames);
	return err;
}

static int unmap(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	int err;

	while ((err = ept_unmap(mem_handle(mem), gfn, frames, mem_gather(mem))) == EPT_BUSY)
		mem_pass(mem);
	ept_sync(mem_gather(mem));
	return err;
}

/* Unmaps pages on frames of their own one by one: only their entries name the frames. */
static int unmap_singles(struct memory *mem, gfn_t gfn, gfn_t end)
{
	int err = 0;

	while (!err && gfn < end) {
		struct ept_state s = ept_lookup(&mem->ept, gfn);

		if (private_maps(&s)) {
			err = unmap(mem, gfn, 1);
			if (!err)
				private_drop(mem, s.frame);
		}
		gfn = state_end(&s, gfn);
	}
	return err;
}

int guest_unmap(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	int err;

	if (family_writes(mem))
		return -EINVAL;
	err = atomic_load(&mem->singles) ? unmap_singles(mem, gfn, gfn + frames) : 0;
	if (!err)
		err = unmap(mem, gfn, frames);
	if (!err)
		backing_leave(&mem->backing, gfn, frames, HPA_NONE);
	return err;
}

int guest_protect(struct memory *mem, gfn_t gfn, uint64_t frames, unsigned int perms)
{
	int err;

	while ((err = ept_protect(mem_handle(mem), gfn, frames, perms, mem_gather(mem))) ==
	       EPT_BUSY)
		mem_pass(mem);
	ept_sync(mem_gather(mem));
	return err;
}

static int poison(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	if (frames == 1)
		return ept_poison(mem_handle(mem), gfn, mem_gather(mem));
	return ept_poison_range(mem_handle(mem), gfn, frames, mem_gather(mem));
}

int guest_poison(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	int err;

	while ((err = poison(mem, gfn, frames)) == EPT_BUSY)
		mem_pass(mem);
	ept_sync(mem_gather(mem));
	if (!err)
		trace(TRACE_POISON, gfn, TRACE_EXTENT(frames, mem->vm));
	return err;
}

static uint64_t recover_step(struct memory *mem, gfn_t *next)
{
	uint64_t n =
		ept_recover_nx(mem_handle(mem), next, mem->frames, RECOVER_STEP, mem_gather(mem));

	ept_sync(mem_gather(mem));
	return n;
}

uint64_t guest_recover_nx(struct memory *mem)
{
	uint64_t n = 0;

	for (gfn_t next = 0; next < mem->frames; mem_pass(mem))
		n += recover_step(mem, &next);
	return n;
}

uint64_t guest_recover_nx_some(struct memory *mem, gfn_t *next)
{
	if (*next >= mem->frames)
		*next = 0;
	return recover_step(mem, next);
}
