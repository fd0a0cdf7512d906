/* SPDX-License-Identifier: MIT */
/* Memories that have frames in common. See hv/mem/family.h. */
#include "hv/mem/family.h"

#include "hv/mem/copy.h"
#include "hv/mem/private.h"
#include "mm/err.h"

/* --- joining ------------------------------------------------------------------------------ */

bool family_writes(const struct memory *mem)
{
	return mem->root || mem->sharers;
}

const char *family_refuses(const struct memory *from, enum ept_share share)
{
	if (share == EPT_PRIVATE && family_writes(from))
		return "others write to the same memory, so there can be no private clone";
	return NULL;
}

/* The memory whose frames this one shares. */
static struct memory *root_of(struct memory *mem)
{
	return mem->root ? mem->root : mem;
}

/* `cloning` keeps others from copying the original's private pages until all references of the
 * clone are counted. */
static int clone_entries(struct memory *from, struct memory *clone, enum ept_share share)
{
	struct ept_gather *g = mem_gather(from);
	bool visits = tlb_visit(&from->tlb, cpu_id());
	int err;

	atomic_fetch_add(&from->cloning, 1);
	do {
		mem_pass(from);
		err = ept_clone(mem_handle(from), mem_handle(clone), 0, from->end, share, g);
		ept_sync(g);
	} while (err == EPT_BUSY);
	if (!err)
		private_share(clone);
	atomic_fetch_sub(&from->cloning, 1);
	if (visits)
		tlb_leave(&from->tlb, cpu_id());
	return err;
}

static void join(struct memory *from, struct memory *clone)
{
	from->shares = true;
	clone->shares = true;
	clone->root = root_of(from);
	clone->root->sharers++;
	clone->next_sharer = clone->root->first_sharer;
	clone->root->first_sharer = clone;
}

const char *family_share(struct memory *from, struct memory *clone, enum ept_share share)
{
	int err = backing_share(&clone->backing, &from->backing);

	if (err)
		return "no memory to note what it shares";
	if (backing_register(&clone->backing, &clone->ept))
		return "too many VMs: destroy one first";
	clone->end = from->end;
	err = clone_entries(from, clone, share);
	if (err)
		return err == EPT_FOREIGN ? "it has private pages, so its memory cannot be shared"
					  : "no memory for its tables";
	if (share == EPT_SHARED)
		join(from, clone);
	return NULL;
}

/* --- its absent pages --------------------------------------------------------------------- */

/* As ept_fill_into(). EPT_BUSY also if the page has got a frame of its own meanwhile: try again. */
static int fill_into(struct memory *mem, unsigned int cpu, gfn_t gfn, hpa_t frame,
		     struct ept_claim *claim)
{
	int err = ept_fill_into(ept_cpu(&mem->ept, cpu), gfn, frame, claim);

	return err == EPT_OWN ? EPT_BUSY : err;
}

static int claim_own(struct memory *mem, unsigned int cpu, gfn_t gfn, struct ept_claim *claim)
{
	hpa_t frame = private_take(mem, gfn);
	int err;

	if (frame.v == HPA_NONE.v)
		return -ENOMEM;
	err = fill_into(mem, cpu, gfn, frame, claim);
	if (err)
		private_drop(mem, frame);
	else if (claim->entry & ENTRY_ZERO)
		mem_note_dirty(mem, gfn, 1); /* it was discarded: its frame changes */
	return err;
}

int family_claim_named(struct memory *mem, unsigned int cpu, gfn_t gfn, struct ept_claim *claim)
{
	struct ept_state s = ept_lookup(&mem->ept, gfn);

	return fill_into(mem, cpu, gfn, state_frame(&s, gfn), claim);
}

/* The page arrives in the memory that owns the frame. */
static int fill_root(struct memory *root, unsigned int cpu, gfn_t gfn,
		     const struct page_reply *contents)
{
	struct ept_cpu *me = ept_cpu(&root->ept, cpu);
	struct ept_claim claim;
	int err = ept_fill(me, gfn, PG_LEVEL_4K, &claim);

	if (err == EPT_FOREIGN)
		err = family_claim_named(root, cpu, gfn, &claim);
	if (err)
		return err == EPT_HERE ? 0 : err;
	page_write(claim.frame, contents, claim.frame, PG_LEVEL_4K);
	(void)ept_publish(me, &claim);
	return 0;
}

static int claim_roots(struct memory *mem, struct memory *root, unsigned int cpu, gfn_t gfn,
		       struct ept_claim *claim, const struct page_reply **contents)
{
	bool visits = tlb_visit(&root->tlb, cpu);
	int err = fill_root(root, cpu, gfn, *contents);

	if (!err) {
		struct ept_state s = ept_lookup(&root->ept, gfn);

		err = s.kind == EPT_PRESENT ? fill_into(mem, cpu, gfn, state_frame(&s, gfn), claim)
					    : EPT_BUSY;
		*contents = NULL; /* they are there */
	}
	if (visits)
		tlb_leave(&root->tlb, cpu);
	return err;
}

int family_claim(struct memory *mem, unsigned int cpu, gfn_t gfn, struct ept_claim *claim,
		 const struct page_reply **contents)
{
	if (!mem->shares)
		return claim_own(mem, cpu, gfn, claim);
	if (!mem->root)
		return family_claim_named(mem, cpu, gfn, claim);
	return claim_roots(mem, mem->root, cpu, gfn, claim, contents);
}

/* --- leaving ------------------------------------------------------------------------------ */

static void leave_root(struct memory *mem)
{
	struct memory **at = &mem->root->first_sharer;

	while (*at != mem)
		at = &(*at)->next_sharer;
	*at = mem->next_sharer;
	mem->root->sharers--;
}

/* The first sharer becomes the root: absent pages arrive there. */
static void hand_over(struct memory *mem)
{
	struct memory *heir = mem->first_sharer;

	heir->root = NULL;
	heir->first_sharer = heir->next_sharer;
	heir->sharers = mem->sharers - 1;
	for (struct memory *at = heir->first_sharer; at; at = at->next_sharer)
		at->root = heir;
}

void family_leave(struct memory *mem)
{
	if (mem->root)
		leave_root(mem);
	else if (mem->first_sharer)
		hand_over(mem);
}
