/* SPDX-License-Identifier: MIT */
/* See hv/mem/guest_memory.h. */
#include "hv/mem/guest_memory.h"

#include "ept/access.h"
#include "ept/range.h"
#include "hv/vm/dirty.h"
#include "mm/err.h"
#include "mm/machine.h"

#define RECOVER_STEP 16 /* tables of one step; the CPUs pass in between */

static struct ept_cpu *me(struct vm *vm)
{
	return ept_cpu(&vm->ept, cpu_id());
}

static struct ept_gather *gather(struct vm *vm)
{
	return &vm->gather[cpu_id()];
}

/* --- copying ------------------------------------------------------------------------------ */

/* What the page at gfn lacks is brought. 0, -EAGAIN: look again; -EBUSY: it is on its way. */
static int bring(struct vm *vm, gfn_t gfn, int lacks)
{
	switch (lacks) {
	case -EXDEV:
		return pager_copy(&vm->pager, cpu_id(), gfn);
	case -EAGAIN:
	case -ENODATA:
		return pager_bring(&vm->pager, cpu_id(), gfn);
	default:
		return lacks;
	}
}

static void wait_a_little(struct vm *vm)
{
	if (cpu_id() == 0)
		pager_poll(&vm->pager);
	vm_pass(vm);
}

/* Where the page is, ready for the access. */
static int reach(struct vm *vm, gfn_t gfn, unsigned int access, enum guest_wait wait, hpa_t *at)
{
	for (;;) {
		int err = ept_reach(me(vm), gfn, access, at, gather(vm));

		if (!err && access & EPT_W)
			dirty_note(vm, gfn, 1);
		if (!err)
			return 0;
		err = bring(vm, gfn, err);
		if (err == -EBUSY && wait == GUEST_NOWAIT)
			return -EAGAIN;
		if (err == -EBUSY)
			wait_a_little(vm);
		else if (err && err != -EAGAIN && err != -EEXIST)
			return err;
	}
}

/* Bytes from `at` to the end of its page, but no more than `bytes`. */
static uint64_t in_page(uint64_t at, uint64_t bytes)
{
	return MIN(bytes, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
}

int guest_read(struct vm *vm, gpa_t from, void *to, uint64_t bytes, enum guest_wait wait)
{
	uint64_t at = from.v, n;

	for (char *p = to; bytes; at += n, p += n, bytes -= n) {
		hpa_t page;
		int err = reach(vm, at >> PAGE_SHIFT, EPT_R, wait, &page);

		if (err)
			return err;
		n = in_page(at, bytes);
		__builtin_memcpy(p, (char *)direct(page) + (at & (PAGE_SIZE - 1)), n);
	}
	return 0;
}

int guest_write(struct vm *vm, gpa_t to, const void *from, uint64_t bytes, enum guest_wait wait)
{
	uint64_t at = to.v, n;

	for (const char *p = from; bytes; at += n, p += n, bytes -= n) {
		hpa_t page;
		int err = reach(vm, at >> PAGE_SHIFT, EPT_W, wait, &page);

		if (err)
			return err;
		n = in_page(at, bytes);
		__builtin_memcpy((char *)direct(page) + (at & (PAGE_SIZE - 1)), p, n);
	}
	return 0;
}

/* --- ranges ------------------------------------------------------------------------------- */

int guest_discard(struct vm *vm, gfn_t gfn, uint64_t frames)
{
	int err;

	while ((err = ept_discard(me(vm), gfn, frames, gather(vm))) == -EBUSY)
		vm_pass(vm);
	ept_sync(gather(vm));
	dirty_note(vm, gfn, frames);
	return err;
}

int guest_protect(struct vm *vm, gfn_t gfn, uint64_t frames, unsigned int perms)
{
	int err;

	while ((err = ept_protect(me(vm), gfn, frames, perms, gather(vm))) == -EBUSY)
		vm_pass(vm);
	ept_sync(gather(vm));
	return err;
}

int guest_poison(struct vm *vm, gfn_t gfn, uint64_t frames)
{
	int err;

	while ((err = ept_poison_range(me(vm), gfn, frames, gather(vm))) == -EBUSY)
		vm_pass(vm);
	ept_sync(gather(vm));
	return err;
}

uint64_t guest_recover_nx(struct vm *vm)
{
	uint64_t n = 0;

	for (gfn_t next = 0; next < vm->frames; vm_pass(vm))
		n += ept_recover_nx(me(vm), &next, vm->frames, RECOVER_STEP, gather(vm));
	ept_sync(gather(vm));
	return n;
}
