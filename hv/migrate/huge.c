/* SPDX-License-Identifier: MIT */
/* When large leaves came. See hv/migrate/huge.h. */
#include "hv/migrate/huge.h"

#include "hv/base/clock.h"

void huge_begin(struct huge *h, uint64_t frames)
{
	*h = (struct huge){ .step = MAX((frames / 512 + HUGE_STEPS - 1) / HUGE_STEPS,
					UINT64_C(1)) };
}

void huge_note(struct huge *h, uint64_t ranges)
{
	if (ranges <= h->most)
		return;
	h->most = ranges;
	h->last = clock_now();
	if (!h->first)
		h->first = h->last;
	while (h->reached < HUGE_STEPS && ranges >= (h->reached + 1) * h->step)
		h->at[h->reached++] = h->last;
}

uint64_t huge_most(const struct huge *h)
{
	uint64_t step = (h->most * 9 / 10 + h->step - 1) / h->step;

	return step && step <= h->reached ? h->at[step - 1] : h->last;
}
