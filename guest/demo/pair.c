/* SPDX-License-Identifier: MIT */
/*
 * Payload: two vCPUs share memory. In each pass one of the two writes all their pages and the
 * other one verifies them, close behind; in the next pass they change places. They keep in step
 * through the two progress counters: page j of pass n counts as number n * (pages of both) + j + 1.
 *
 * The reader waits for the writer page by page; the writer runs ahead by PAIR_AHEAD pages at the
 * most, enough for the work of a time slice where both take turns on one CPU. No other wait is
 * needed: whoever writes a page has itself verified it in the pass before.
 *
 * A vCPU that has no partner, or whose partner was told to stop before this pass, plays both parts.
 */
#include <stddef.h>

#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"

#define PAIR_AHEAD 128

static struct vcpu *pair_partner(const struct vcpu *me)
{
	unsigned int other = me->index ^ 1;

	return other < me->vcpus ? &vcpus[other] : NULL;
}

static uint64_t pair_pages(const struct vcpu *me)
{
	const struct vcpu *partner = pair_partner(me);

	return me->pages + (partner ? partner->pages : 0);
}

/* The pages of both, in the order of their addresses. */
static uint64_t pair_gpa(const struct vcpu *me, uint64_t j)
{
	if (!pair_partner(me))
		return share_gpa(me, j);
	return share_gpa(&vcpus[(me->index & ~1u) + j % 2], j / 2);
}

/* As it is after so many passes: each writes every page. */
static struct pattern pair_page(const struct vcpu *me, uint64_t gpa, uint64_t passes)
{
	return pattern_of(gpa, me->seed, VERSION_FIRST + passes);
}

static struct pattern pair_pattern(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	return pair_page(me, share_gpa(me, k), passes);
}

/* Waits until the vCPU has come so far. False: it is gone and never will. */
static bool pair_wait(struct vcpu *partner, uint64_t progress)
{
	bool gone;

	do {
		/* In this order: what a vCPU did before it left must count. */
		gone = atomic_load_explicit(&partner->gone, memory_order_acquire);
		if (atomic_load_explicit(&partner->progress, memory_order_acquire) >= progress)
			return true;
		cpu_pause();
	} while (!gone);
	return false;
}

/* Half of the writes are blind, so that the first access to a page may be a store; the other half
 * look first, since nobody could see any more what was wrong before a write. */
static uint64_t pair_write(struct vcpu *me, uint64_t gpa, uint64_t n, uint64_t chain)
{
	bool blind = mix64(me->seed ^ gpa ^ n) & 1;

	if (!blind)
		chain = page_check(me, gpa, pair_page(me, gpa, n), chain);
	page_fill(page_at(gpa), pair_page(me, gpa, n + 1));
	return chain;
}

/* Both parts; pages below `written` have been written in this pass. */
static uint64_t pair_alone(struct vcpu *me, uint64_t n, uint64_t written, uint64_t chain)
{
	uint64_t pages = pair_pages(me);

	for (uint64_t j = written; j < pages; j++)
		chain = pair_write(me, pair_gpa(me, j), n, chain);
	for (uint64_t j = 0; j < pages; j++)
		chain = page_check(me, pair_gpa(me, j), pair_page(me, pair_gpa(me, j), n + 1),
				   chain);
	return chain;
}

static uint64_t pair_together(struct vcpu *me, struct vcpu *partner, uint64_t n, uint64_t chain)
{
	bool write = ((n ^ me->index) & 1) == 0;
	uint64_t pages = pair_pages(me);

	for (uint64_t j = 0; j < pages; j++) {
		uint64_t gpa = pair_gpa(me, j);
		uint64_t number = n * pages + j + 1;
		uint64_t ahead = write ? PAIR_AHEAD : 0;

		if (number > ahead && !pair_wait(partner, number - ahead))
			return pair_alone(me, n, j, chain);
		if (write)
			chain = pair_write(me, gpa, n, chain);
		else
			chain = page_check(me, gpa, pair_page(me, gpa, n + 1), chain);
		atomic_store_explicit(&me->progress, number, memory_order_release);
	}
	return chain;
}

static uint64_t pair_pass(struct vcpu *me, uint64_t n, uint64_t chain)
{
	struct vcpu *partner = pair_partner(me);

	chain = partner ? pair_together(me, partner, n, chain) : pair_alone(me, n, 0, chain);
	atomic_store_explicit(&me->progress, (n + 1) * pair_pages(me), memory_order_release);
	return chain;
}

/* The partner may still be writing, and may make more passes than this vCPU. */
static uint64_t pair_settle(struct vcpu *me, uint64_t passes)
{
	struct vcpu *partner = pair_partner(me);
	uint64_t pages = pair_pages(me);
	uint64_t theirs;

	atomic_store_explicit(&me->gone, true, memory_order_release);
	if (!partner || !pages)
		return passes;
	while (!atomic_load_explicit(&partner->gone, memory_order_acquire))
		cpu_pause();
	theirs = atomic_load_explicit(&partner->progress, memory_order_acquire) / pages;
	return theirs > passes ? theirs : passes;
}

static uint64_t pair_written(const struct vcpu *me, uint64_t passes)
{
	return passes ? me->pages : 0;
}

_Noreturn void payload_main(struct vcpu *me)
{
	static const struct payload pair = {
		.pattern = pair_pattern,
		.pass = pair_pass,
		.written = pair_written,
		.settle = pair_settle,
		.meet = true,
	};

	payload_run(me, &pair);
}
