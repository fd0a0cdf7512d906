/* SPDX-License-Identifier: MIT */
/*
 * The life of a payload. A payload is one file that defines payload_main(); most only describe
 * their pages and one pass over them, and leave the rest to payload_run().
 *
 * The used pages are WORK_START + k * STRIDE. vCPU v of n owns every n-th of them from the v-th
 * on: its share. It prepares its share, says ABI_READY, passes over its memory until the
 * hypervisor says stop, verifies each word of its share and reports a verdict.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/chain.h"
#include "guest/lib/hypercall.h"
#include "guest/lib/layout.h"
#include "guest/lib/pattern.h"

/* Each vCPU's own page, written by it alone. The others read what is atomic, and, after all have
 * met at payload_meet(), what describes its share. */
struct vcpu {
	unsigned int index;
	unsigned int vcpus;
	uint64_t seed;
	uint64_t region;          /* bytes of guest memory */
	uint64_t first;           /* gpa of the share's first page */
	uint64_t apart;           /* bytes from one page of the share to the next */
	uint64_t pages;           /* in the share */
	uint64_t steps;           /* pages looked at since ABI_READY */
	volatile uint64_t passes; /* begun */
	unsigned int wrongs;
	volatile uint64_t chain;   /* what should have been read leads to it */
	_Atomic uint64_t progress; /* counts up; its meaning is the payload's */
	_Atomic bool gone;         /* no pass of this vCPU will follow; progress is final */
} __attribute__((aligned(PAGE_BYTES)));

extern struct vcpu vcpus[ABI_VCPUS_MAX];

struct payload {
	/* What page k of the share contains after so many passes; 0: as prepared. */
	struct pattern (*pattern)(const struct vcpu *me, uint64_t k, uint64_t passes);

	/* One pass; n counts from 0. Takes the hash chain and returns it. */
	uint64_t (*pass)(struct vcpu *me, uint64_t n, uint64_t chain);

	/* Distinct pages of the share that were written in so many passes. NULL: none ever. */
	uint64_t (*written)(const struct vcpu *me, uint64_t passes);

	/* Called after the last pass. Returns how many passes the share has seen. NULL: as many
	 * as this vCPU has made. */
	uint64_t (*settle)(struct vcpu *me, uint64_t passes);

	bool meet; /* no vCPU begins to pass before all are ready */
};

/* Asks the hypervisor for this vCPU's share, and ends the vCPU if it makes no sense. Called once,
 * before payload_main(). */
void vcpu_init(struct vcpu *me, unsigned int index);

/* The whole life, from preparing to the verdict. */
_Noreturn void payload_run(struct vcpu *me, const struct payload *payload);

/* The payload's own: called on each vCPU, with its share known and nothing prepared. */
_Noreturn void payload_main(struct vcpu *me);

/* Never written pages: as they were prepared first. */
struct pattern pattern_plain(const struct vcpu *me, uint64_t k, uint64_t passes);

/* Waits until each vCPU has called it. Once in a life. */
void payload_meet(const struct vcpu *me);

/* Ends this vCPU. */
_Noreturn void guest_done(struct vcpu *me, enum abi_verdict verdict, uint64_t pages_written);

/* Reports the first wrong word of a page that was found wrong. Ends this vCPU after a few. */
void report_wrong(struct vcpu *me, uint64_t gpa, struct pattern p);

/* The hash chain in the registers and the one in memory differ: ends this vCPU. */
_Noreturn void report_broken(struct vcpu *me, uint64_t expected, uint64_t found);

/* Which vCPU a stack belongs to, by an address in it. */
static inline struct vcpu *vcpu_of_stack(uint64_t address)
{
	return &vcpus[(GUEST_END - 1 - address) / GUEST_STACK_BYTES % ABI_VCPUS_MAX];
}

static inline uint64_t share_gpa(const struct vcpu *me, uint64_t k)
{
	return me->first + k * me->apart;
}

static inline uint64_t *page_at(uint64_t gpa)
{
	return (uint64_t *)(uintptr_t)gpa;
}

/* One link of the chain: what was found, as the registers know it, against what was expected. The
 * caller keeps its chain in a register; the other one lives in memory. */
static inline uint64_t chain_link(struct vcpu *me, uint64_t expected, uint64_t found,
				  uint64_t chain)
{
	uint64_t link = chain_step(me->chain, expected);

	me->chain = link;
	asm("" : "+r"(found)); /* or the compiler takes what it knows to be equal */
	chain = chain_step(chain, found);
	if (__builtin_expect(chain != link, 0))
		report_broken(me, link, chain);
	return chain;
}

/* What every look at a page ends with: compare, report, and go on with the chain. */
static inline uint64_t page_seen(struct vcpu *me, uint64_t gpa, struct pattern p, struct sums found,
				 struct sums expected, uint64_t chain)
{
	me->steps++;
	if (__builtin_expect(!sums_equal(found, expected), 0)) {
		report_wrong(me, gpa, p);
		found = expected;
	}
	return chain_link(me, sums_fold(expected), sums_fold(found), chain);
}

/* Looks at a few words of a page, at others in each turn. */
static inline uint64_t page_touch(struct vcpu *me, uint64_t gpa, struct pattern p, uint64_t turn,
				  uint64_t chain)
{
	unsigned int first = peek_first(gpa, turn);

	return page_seen(me, gpa, p, page_peek(page_at(gpa), first), pattern_peek(p, first), chain);
}

/* Looks at every word of a page. */
static inline uint64_t page_check(struct vcpu *me, uint64_t gpa, struct pattern p, uint64_t chain)
{
	return page_seen(me, gpa, p, page_sums(page_at(gpa)), pattern_sums(p), chain);
}

#endif
