/* SPDX-License-Identifier: MIT */
/*
 * Payload of the in-machine tests: reads the last word of pages, which must hold the word's own
 * address within its GiB. The seed is a set of the flags below.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"

enum {
	POKE_ALL = 1,   /* each vCPU reads all pages, not only its share */
	POKE_AGAIN = 2, /* pass after pass, until the hypervisor says stop */
	POKE_WRITE = 4, /* and writes the word anew */
	POKE_OFTEN = 8, /* many times over, without leaving the guest */
};

#define OFTEN 100000

#define GIB_MASK UINT64_C(0x3fffffff)

/* False: it was wrong. */
static bool poke_page(struct vcpu *me, uint64_t gpa)
{
	volatile uint64_t *word = page_at(gpa) + PAGE_WORDS - 1;
	uint64_t expected = (uintptr_t)word & GIB_MASK;
	uint64_t found = *word;

	me->steps++;
	if (found != expected) {
		hypercall(ABI_WRONG, (uintptr_t)word, expected, found);
		return false;
	}
	if (me->seed & POKE_WRITE)
		*word = expected;
	return true;
}

/* The image itself lies in some GiB, too. */
static bool poke_is_image(uint64_t gpa)
{
	return (gpa & GIB_MASK) >= GUEST_LOAD && (gpa & GIB_MASK) < GUEST_END;
}

static bool poke_pass(struct vcpu *me)
{
	bool all = me->seed & POKE_ALL;
	uint64_t first = all ? vcpus[0].first : me->first;
	uint64_t apart = all ? me->apart / me->vcpus : me->apart;
	uint64_t pages = me->pages;

	if (all)
		for (unsigned int i = 0; i < me->vcpus; i++)
			pages += i == me->index ? 0 : vcpus[i].pages;
	for (uint64_t k = 0; k < pages; k++)
		if (!poke_is_image(first + k * apart) && !poke_page(me, first + k * apart))
			return false;
	return true;
}

_Noreturn void payload_main(struct vcpu *me)
{
	bool right;
	uint64_t n = 0;

	hypercall(ABI_READY, 0, 0, 0);
	payload_meet(me);
	do {
		right = true;
		for (unsigned int i = 0; right && i < (me->seed & POKE_OFTEN ? OFTEN : 1); i++)
			right = poke_pass(me);
	} while (right && me->seed & POKE_AGAIN && hypercall(ABI_PASS, n++, 0, 0) == ABI_GO_ON);
	guest_done(me, right ? ABI_OK : ABI_WRONG_DATA, me->seed & POKE_WRITE ? me->pages : 0);
}
