/* SPDX-License-Identifier: MIT */
/*
 * Memories that have frames in common. Private clones are copy-on-write: the writer gets a copy of
 * the page. Shared clones write to the same frames; a page that arrives in one of them arrives in
 * the root, which owns the frames, and so for all.
 */
#ifndef HV_MEM_FAMILY_H
#define HV_MEM_FAMILY_H

#include "ept/range.h"
#include "hv/mem/memory.h"

struct page_reply;

/* Why `from` cannot be cloned like this, or NULL. */
const char *family_refuses(const struct memory *from, enum ept_share share);

/**
 * family_share() - map in the clone what `from` maps. The vCPUs of `from` may run meanwhile.
 * @clone: made by mem_make_like(), with nothing mapped
 * Return: NULL, or what was missing; then call mem_end() for the clone.
 * Flush: made.
 */
const char *family_share(struct memory *from, struct memory *clone, enum ept_share share);

/**
 * family_claim() - claim the absent page at gfn, which ept_fill() called EPT_FOREIGN: into a frame
 * of its own, or, in shared memory, into the root's.
 * @contents: the source's; set to NULL if the frame has them already
 * Return: 0; -ENOMEM: no frame; EPT_BUSY also if the page has got a frame of its own meanwhile;
 * otherwise as ept_fill_into(). On 0, call ept_publish() or ept_give_up() for the claim.
 */
int must_check family_claim(struct memory *mem, unsigned int cpu, gfn_t gfn,
			    struct ept_claim *claim, const struct page_reply **contents);

/* Claims the absent page at gfn in the frame that its entry names, even if that has another owner
 * now: to lose it, or in the memory that owns the frame. Return: as family_claim(). */
int must_check family_claim_named(struct memory *mem, unsigned int cpu, gfn_t gfn,
				  struct ept_claim *claim);

/* Does another memory write to the same frames? Then do not exchange them: it would keep the old
 * ones. A private page's frame only has readers, which may keep it. */
bool family_writes(const struct memory *mem);

/* A memory ends; the first of its sharers becomes the root. */
void family_leave(struct memory *mem);

#endif
