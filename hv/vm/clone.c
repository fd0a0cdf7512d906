/* SPDX-License-Identifier: MIT */
/* Clones of VMs. See hv/vm/clone.h. */
#include "hv/vm/clone.h"

#include "hv/base/console.h"
#include "hv/vm/dirty.h"
#include "hv/mem/frames.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* --- making ------------------------------------------------------------------------------- */

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

/* Nobody copies private pages of the original until all that the clone refers to is counted. */
static int share_memory(struct vm *from, struct vm *clone, enum ept_share share)
{
	unsigned int cpu = cpu_id();
	bool visits = tlb_visit(&from->tlb, cpu);
	int err;

	atomic_fetch_add(&from->cloning, 1);
	do {
		vm_pass(from);
		err = ept_clone(ept_cpu(&from->ept, cpu), ept_cpu(&clone->ept, cpu), 0,
				from->pager.frames, share, &from->gather[cpu]);
		ept_sync(&from->gather[cpu]);
	} while (err == -EBUSY);
	if (!err)
		frames_share(clone);
	atomic_fetch_sub(&from->cloning, 1);
	if (visits)
		tlb_leave(&from->tlb, cpu);
	return err;
}

/* In a chain of VMs that share their memory, the one that the others take it from. */
static struct vm *root_of(struct vm *vm)
{
	return vm->memory_of ? vm->memory_of : vm;
}

static const char *refused(const struct vm *from, enum ept_share share)
{
	if (share == EPT_PRIVATE && (from->memory_of || from->sharers))
		return "others write to the same memory, so there can be no private clone";
	return NULL;
}

static void join_family(struct vm *from, struct vm *clone, enum ept_share share)
{
	if (share != EPT_SHARED)
		return;
	from->shares = true;
	clone->shares = true;
	clone->memory_of = root_of(from);
	clone->memory_of->sharers++;
	clone->next_sharer = clone->memory_of->first_sharer;
	clone->memory_of->first_sharer = clone;
}

static const char *make(struct vm *from, struct vm *clone, enum ept_share share)
{
	int err = backing_share(&clone->backing, &from->backing);

	if (err)
		return "no memory to note what it shares";
	if (backing_register(&clone->backing, &clone->ept))
		return "too many VMs: destroy one first";
	clone->pager.frames = from->pager.frames;
	err = share_memory(from, clone, share);
	if (err == -EXDEV)
		return "it has private pages, so its memory cannot be shared";
	return err ? "no memory for its tables" : NULL;
}

struct vm *vm_clone(struct vm *from, const char *name, enum ept_share share)
{
	const char *why = refused(from, share);
	struct vm *clone = why ? NULL : vm_create_like(from, name);

	if (clone)
		why = make(from, clone, share);
	if (why) {
		con_printf("cleave: vm %s: no clone of %s: %s\n", name, from->name, why);
		if (clone)
			vm_destroy(clone);
		return NULL;
	}
	if (!clone)
		return NULL;
	pager_init(&clone->pager, clone, from->pager.source, from->pager.piece, from->pager.policy,
		   from->pager.frames);
	join_family(from, clone, share);
	place(clone, from);
	for (unsigned int i = 0; stopped(from) && i < clone->nvcpus; i++)
		copy_vcpu(&from->vcpu[i], &clone->vcpu[i]);
	return clone;
}

/* --- its absent pages --------------------------------------------------------------------- */

/* What the page is to contain. */
static void write_page(hpa_t to, const struct page_reply *reply, hpa_t home)
{
	if (reply->data)
		__builtin_memcpy(direct(to), reply->data, PAGE_SIZE);
	else if (!reply->in_place)
		__builtin_memset(direct(to), 0, PAGE_SIZE);
	else if (to.v != home.v)
		__builtin_memcpy(direct(to), direct(home), PAGE_SIZE);
}

static const struct page_reply zeros = { 0 };

static int fill_own(struct vm *vm, unsigned int cpu, gfn_t gfn, const struct page_reply *reply)
{
	struct ept_cpu *me = ept_cpu(&vm->ept, cpu);
	hpa_t frame = frames_take(vm, gfn);
	struct ept_claim claim;
	int err;

	if (frame.v == HPA_NONE.v)
		return -ENOMEM;
	err = ept_fill_into(me, gfn, frame, &claim);
	if (err) {
		frames_drop(vm, frame);
		return err;
	}
	write_page(frame, claim.entry & ENTRY_ZERO ? &zeros : reply,
		   hpa(entry_hidden_frame(claim.entry)));
	(void)ept_publish(me, &claim);
	if (claim.entry & ENTRY_ZERO)
		dirty_note(vm, gfn, 1); /* it was discarded, and has changed */
	return 0;
}

/* In the VM whose memory it is. The frame that its entry names, whoever came to have it. */
static int fill_root(struct vm *root, unsigned int cpu, gfn_t gfn, const struct page_reply *reply)
{
	struct ept_cpu *me = ept_cpu(&root->ept, cpu);
	struct ept_claim claim;
	int err = ept_fill(me, gfn, PG_LEVEL_4K, &claim);

	if (err == -EXDEV) {
		struct ept_state s = ept_lookup(&root->ept, gfn);
		uint64_t inside = gfn & (level_frames(s.level) - 1);

		err = ept_fill_into(me, gfn, hpa(s.frame.v + (inside << PAGE_SHIFT)), &claim);
	}
	if (err)
		return err == -EEXIST ? 0 : err;
	write_page(claim.frame, reply, claim.frame);
	(void)ept_publish(me, &claim);
	return 0;
}

static int fill_shared(struct vm *vm, unsigned int cpu, gfn_t gfn, const struct page_reply *reply)
{
	struct vm *root = root_of(vm);
	struct ept_cpu *me = ept_cpu(&vm->ept, cpu);
	bool visits = tlb_visit(&root->tlb, cpu);
	int err = fill_root(root, cpu, gfn, reply);
	struct ept_claim claim;

	if (!err && root != vm) {
		struct ept_state s = ept_lookup(&root->ept, gfn);
		uint64_t inside = gfn & (level_frames(s.level) - 1);

		err = -EBUSY;
		if (s.kind == EPT_PRESENT)
			err = ept_fill_into(me, gfn, hpa(s.frame.v + (inside << PAGE_SHIFT)),
					    &claim);
		if (!err)
			(void)ept_publish(me, &claim);
	}
	if (visits)
		tlb_leave(&root->tlb, cpu);
	return err;
}

int clone_fill(struct vm *vm, unsigned int cpu, gfn_t gfn, const struct page_reply *reply)
{
	return vm->shares ? fill_shared(vm, cpu, gfn, reply) : fill_own(vm, cpu, gfn, reply);
}

/* --- ending ------------------------------------------------------------------------------- */

static void leave_family(struct vm *vm)
{
	struct vm **at = &vm->memory_of->first_sharer;

	while (*at != vm)
		at = &(*at)->next_sharer;
	*at = vm->next_sharer;
	vm->memory_of->sharers--;
}

/* The first of the others takes its place: what is still absent arrives there. */
static void hand_over(struct vm *vm)
{
	struct vm *heir = vm->first_sharer;

	heir->memory_of = NULL;
	heir->first_sharer = heir->next_sharer;
	heir->sharers = vm->sharers - 1;
	for (struct vm *at = heir->first_sharer; at; at = at->next_sharer)
		at->memory_of = heir;
}

void clone_forget(struct vm *vm)
{
	if (vm->memory_of)
		leave_family(vm);
	else if (vm->first_sharer)
		hand_over(vm);
}
