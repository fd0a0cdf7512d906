/* SPDX-License-Identifier: MIT */
/*
 * Memories that have frames in common. A private clone shares them until somebody writes: whoever
 * does gets a copy of the page. Shared clones write to the same frames; what arrives in one of them
 * has arrived for the others: it arrives in the root, whose frames they are.
 */
#ifndef HV_MEM_FAMILY_H
#define HV_MEM_FAMILY_H

#include "ept/range.h"
#include "hv/mem/memory.h"

struct page_reply;

/* Why `from` cannot be cloned like this, or NULL. */
const char *family_refuses(const struct memory *from, enum ept_share share);

/**
 * family_share() - map in the clone what `from` maps, whose vCPUs may run meanwhile.
 * @clone: made by mem_make_like(), nothing is mapped there
 * Return: NULL, or what was missing; then call mem_end() for the clone. All CPUs know of it.
 */
const char *family_share(struct memory *from, struct memory *clone, enum ept_share share);

/**
 * family_claim() - claim the absent page at gfn, whose frame is not the memory's own: into a frame
 * of its own, or, where the memory is shared, into the root's.
 * @contents: what the source says; NULL afterwards if it is there already
 * Return: 0; -ENOMEM: no frame for it; otherwise as ept_fill_into().
 */
int must_check family_claim(struct memory *mem, unsigned int cpu, gfn_t gfn,
			    struct ept_claim *claim, const struct page_reply **contents);

/* Does another memory write to the same frames? It would go on with them if they were exchanged. A
 * private page's frame only has readers, who may keep it. */
bool family_writes(const struct memory *mem);

/* A memory ends; what others share of it goes to the first of them. */
void family_leave(struct memory *mem);

#endif
