/* SPDX-License-Identifier: MIT */
/*
 * Payload of the in-machine tests: touches one part of its memory over and over, and hardly the
 * rest. The part is a quarter of the pages; the seed says which. Contents do not matter.
 */
#include "guest/lib/guest.h"
#include "guest/lib/mix.h"

#define RARE 64 /* passes over the hot part to one touch of another page */

_Noreturn void payload_main(struct vcpu *me)
{
	uint64_t quarter = me->pages / 4, hot = me->seed % 4 * quarter, n = 0;

	hypercall(ABI_READY, 0, 0, 0);
	do {
		for (uint64_t k = hot; k < hot + quarter; k++)
			(void)*(const volatile uint64_t *)page_at(share_gpa(me, k));
		me->steps += quarter;
		if (n % RARE == 0)
			(void)*(const volatile uint64_t *)page_at(
				share_gpa(me, mix_below(mix64(n), me->pages)));
	} while (hypercall(ABI_PASS, n++, 0, 0) == ABI_GO_ON);
	guest_done(me, ABI_OK, 0);
}
