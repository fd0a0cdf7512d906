/* SPDX-License-Identifier: MIT */
/*
 * Payload of the in-machine tests: reads and writes pages that move meanwhile. Each page has words
 * whose value follows from their address, and a counter for each vCPU. A pass of a vCPU goes over
 * all pages: it looks at one of the values, finds its counter as it left it, counts, and finds no
 * other vCPU's counter behind where it was seen last. So a stale read and a lost write show at
 * once. The guest is not left for many passes in a row.
 */
#include "guest/lib/guest.h"
#include "guest/lib/mix.h"

#define ROW     256 /* most passes in a row */
#define TRACKED 64  /* pages whose other counters are kept in mind */
#define VALUES  8   /* words of a page that follow from their address: the second line */

static uint64_t seen[TRACKED][ABI_VCPUS_MAX][ABI_VCPUS_MAX];

static uint64_t all_pages(const struct vcpu *me)
{
	uint64_t pages = me->pages;

	for (unsigned int i = 0; i < me->vcpus; i++)
		pages += i == me->index ? 0 : vcpus[i].pages;
	return pages;
}

static volatile uint64_t *page_of(const struct vcpu *me, uint64_t k)
{
	return page_at(vcpus[0].first + k * (me->apart / me->vcpus));
}

static uint64_t value_of(const volatile uint64_t *word)
{
	return mix64((uintptr_t)word);
}

static bool wrong(const volatile uint64_t *word, uint64_t expected, uint64_t found)
{
	hypercall(ABI_WRONG, (uintptr_t)word, expected, found);
	return false;
}

static void prepare(const struct vcpu *me)
{
	for (uint64_t k = 0; k < me->pages; k++) {
		volatile uint64_t *page = page_at(share_gpa(me, k));

		for (unsigned int i = 0; i < PAGE_WORDS; i++)
			page[i] = i < VALUES ? 0 : value_of(page + i);
	}
}

static bool others_go_on(const struct vcpu *me, uint64_t k, const volatile uint64_t *page)
{
	for (unsigned int i = 0; i < me->vcpus; i++) {
		uint64_t now = page[i];

		if (now < seen[k][me->index][i])
			return wrong(page + i, seen[k][me->index][i], now);
		seen[k][me->index][i] = now;
	}
	return true;
}

static bool visit(struct vcpu *me, uint64_t k, uint64_t n)
{
	volatile uint64_t *page = page_of(me, k), *word = page + VALUES + n % VALUES;
	uint64_t found = *word, own = page[me->index];

	me->steps++;
	if (found != value_of(word))
		return wrong(word, value_of(word), found);
	if (own != n)
		return wrong(page + me->index, n, own);
	page[me->index] = n + 1;
	return k >= TRACKED || others_go_on(me, k, page);
}

static bool pass(struct vcpu *me, uint64_t pages, uint64_t n)
{
	for (uint64_t k = 0; k < pages; k++)
		if (!visit(me, k, n))
			return false;
	return true;
}

static bool verify(const struct vcpu *me, uint64_t pages, uint64_t n)
{
	for (uint64_t k = 0; k < pages; k++) {
		volatile uint64_t *page = page_of(me, k);

		if (page[me->index] != n)
			return wrong(page + me->index, n, page[me->index]);
		for (unsigned int i = VALUES; i < PAGE_WORDS; i++)
			if (page[i] != value_of(page + i))
				return wrong(page + i, value_of(page + i), page[i]);
	}
	return true;
}

_Noreturn void payload_main(struct vcpu *me)
{
	uint64_t pages, n = 0;
	bool right = true;

	prepare(me);
	payload_meet(me);
	pages = all_pages(me);
	hypercall(ABI_READY, 0, 0, 0);
	do {
		for (unsigned int i = 0; right && i < ROW; i++)
			right = pass(me, pages, n++);
	} while (right && hypercall(ABI_PASS, n, 0, 0) == ABI_GO_ON);
	right = right && verify(me, pages, n);
	guest_done(me, right ? ABI_OK : ABI_WRONG_DATA, pages);
}
