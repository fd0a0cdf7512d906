/* SPDX-License-Identifier: MIT */
/* Losing pages on purpose. See hv/migrate/lose.h. */
#include "hv/migrate/lose.h"

#include "hv/mem/guest_memory.h"

bool lose_is_used(const struct run_config *config, gfn_t gfn)
{
	return gfn < CONFIG_IMAGES_END >> PAGE_SHIFT ||
	       (gfn >= config->work_start >> PAGE_SHIFT &&
		gfn < (config->work_start + config->work) >> PAGE_SHIFT);
}

/* The next number of a sequence that visits its whole period (Knuth, MMIX). */
static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 24;
}

/* From a random page upwards, the first that may be lost. */
static bool choose(const struct memory *mem, const struct run_config *config,
		   const struct bitmap *lost, uint64_t *state, gfn_t *gfn)
{
	uint64_t first = next_random(state) % mem->frames;

	for (uint64_t i = 0; i < mem->frames; i++) {
		*gfn = (first + i) % mem->frames;
		if (!lose_is_used(config, *gfn) && !bitmap_test(lost, *gfn))
			return true;
	}
	return false;
}

const char *lose_pages(struct memory *mem, const struct run_config *config, unsigned int n,
		       struct bitmap *lost)
{
	uint64_t state = config->seed ^ n;

	for (unsigned int i = 0; i < n; i++) {
		gfn_t gfn;

		if (!choose(mem, config, lost, &state, &gfn))
			return "there are not so many pages to lose: make lose= smaller, or region= "
			       "larger";
		if (guest_poison(mem, gfn, 1))
			return "no table page to lose a page";
		bitmap_set(lost, gfn);
	}
	return NULL;
}
