/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's fault where the page's contents are not at hand, or cannot be placed just so. What is at
 * hand is placed by pager_fault() in hv/mem/pager.c: a file of its own, so that the compiler puts
 * none of this in between.
 */
#ifndef HV_MEM_FAULT_H
#define HV_MEM_FAULT_H

#include "hv/mem/memory.h"
#include "hv/source/source.h"

/* Arguments and answers of these three as of pager_fault(). @begin: TSC when the fault began */

/* Nothing at hand. */
enum pager_answer fault_remote(struct memory *mem, unsigned int cpu, gfn_t gfn, unsigned int access,
			       uint64_t begin, struct fault_stats *stats);

/* Something at hand, but not the page's contents. */
enum pager_answer fault_otherwise(struct memory *mem, unsigned int cpu, gfn_t gfn,
				  unsigned int access, const struct page_reply *reply,
				  uint64_t begin, struct fault_stats *stats);

/* Contents at hand, but `err` says why they were not placed: fill another frame, or none. */
enum pager_answer fault_not_filled(struct memory *mem, unsigned int cpu, gfn_t gfn,
				   unsigned int access, const struct page_reply *reply,
				   uint64_t begin, int err, struct fault_stats *stats);

/* Asks the source for a page that somebody waits for. @now: the TSC. 0: this call asked. */
int must_check fault_ask(struct memory *mem, unsigned int cpu, gfn_t gfn, uint64_t now);

/* Brings a discarded page back as zeros, without a request. 0, or why it was not filled. */
int must_check fault_refill(struct memory *mem, unsigned int cpu, gfn_t gfn);

#endif
