/* SPDX-License-Identifier: MIT */
/* Clones of VMs. See hv/vm/clone.h. */
#include "hv/vm/clone.h"

#include "hv/base/console.h"
#include "hv/mem/family.h"
#include "hv/vm/make.h"
#include "mm/percpu.h"

static void copy_vcpu(const struct vcpu *from, struct vcpu *to)
{
	to->state = from->state;
	to->run = from->run;
	to->wait_gfn = from->wait_gfn;
	to->wait_since = from->wait_since;
	to->passes = from->passes;
	to->chain = from->chain;
	to->wrong_count = from->wrong_count;
	to->verdict = from->verdict;
	atomic_store_explicit(&to->ready, atomic_load(&from->ready), memory_order_relaxed);
}

static bool stopped(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].loaded)
			return false;
	return true;
}

static void place(struct vm *clone, const struct vm *from)
{
	for (unsigned int i = 0; i < clone->nvcpus; i++) {
		unsigned int cpu = 1 + from->nvcpus + i;

		vm_place_vcpu(clone, i, cpu < ncpus ? cpu : 0);
	}
}

struct vm *vm_clone(struct vm *from, const char *name, enum ept_share share)
{
	const char *why = family_refuses(&from->mem, share);
	struct vm *clone = why ? NULL : vm_create_like(from, name);

	if (clone)
		why = family_share(&from->mem, &clone->mem, share);
	if (why) {
		con_printf("cleave: vm %s: no clone of %s: %s\n", name, from->name, why);
		if (clone)
			vm_destroy(clone);
		return NULL;
	}
	if (!clone)
		return NULL;
	pager_init(&clone->mem, from->mem.pager.source, from->mem.pager.piece,
		   from->mem.pager.arrive, from->mem.pager.policy);
	place(clone, from);
	for (unsigned int i = 0; stopped(from) && i < clone->nvcpus; i++)
		copy_vcpu(&from->vcpu[i], &clone->vcpu[i]);
	return clone;
}
