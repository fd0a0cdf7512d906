/* SPDX-License-Identifier: MIT */
/* A bounded list of ranges of frames: see boot/base/ranges.h. */
#include "boot/base/ranges.h"

static uint64_t end_of(const struct boot_range *r)
{
	return r->pfn + r->frames;
}

static void delete_at(struct ranges *list, unsigned int i)
{
	list->n--;
	for (; i < list->n; i++)
		list->r[i] = list->r[i + 1];
}

static unsigned int smallest(const struct ranges *list)
{
	unsigned int best = 0;

	for (unsigned int i = 1; i < list->n; i++)
		if (list->r[i].frames < list->r[best].frames)
			best = i;
	return best;
}

/* Into its place by address; it overlaps and touches nothing. */
static void insert(struct ranges *list, struct boot_range new)
{
	unsigned int i;

	if (list->n == BOOT_RANGES_MAX) {
		i = smallest(list);
		if (list->r[i].frames >= new.frames) {
			list->dropped += new.frames;
			return;
		}
		list->dropped += list->r[i].frames;
		delete_at(list, i);
	}
	for (i = list->n; i > 0 && list->r[i - 1].pfn > new.pfn; i--)
		list->r[i] = list->r[i - 1];
	list->r[i] = new;
	list->n++;
}

void ranges_add(struct ranges *list, uint64_t pfn, uint64_t frames)
{
	uint64_t end = pfn + frames;
	unsigned int i = 0;

	if (!frames)
		return;
	/* Swallow every neighbour that overlaps or touches, then insert the union. */
	while (i < list->n) {
		struct boot_range *r = &list->r[i];

		if (end_of(r) < pfn || r->pfn > end) {
			i++;
			continue;
		}
		pfn = MIN(pfn, r->pfn);
		end = MAX(end, end_of(r));
		delete_at(list, i);
	}
	insert(list, (struct boot_range){ pfn, end - pfn });
}

void ranges_remove(struct ranges *list, uint64_t pfn, uint64_t frames)
{
	uint64_t end = pfn + frames;
	unsigned int i = 0;

	if (!frames)
		return;
	while (i < list->n) {
		struct boot_range old = list->r[i];

		if (end_of(&old) <= pfn || old.pfn >= end) {
			i++;
			continue;
		}
		/* The remainders on either side lie outside [pfn, end): the loop passes them. */
		delete_at(list, i);
		if (old.pfn < pfn)
			insert(list, (struct boot_range){ old.pfn, pfn - old.pfn });
		if (end_of(&old) > end)
			insert(list, (struct boot_range){ end, end_of(&old) - end });
	}
}

void ranges_limit(struct ranges *list, uint64_t end)
{
	uint64_t before = ranges_frames(list);

	ranges_remove(list, end, UINT64_MAX - end);
	list->beyond += before - ranges_frames(list);
}

void ranges_round(struct ranges *out, const struct ranges *list, uint64_t step)
{
	*out = (struct ranges){ .n = 0 };
	for (unsigned int i = 0; i < list->n; i++) {
		uint64_t pfn = ALIGN_DOWN(list->r[i].pfn, step);

		ranges_add(out, pfn, ALIGN_UP(end_of(&list->r[i]), step) - pfn);
	}
}

uint64_t ranges_frames(const struct ranges *list)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < list->n; i++)
		sum += list->r[i].frames;
	return sum;
}

uint64_t ranges_best_fit(const struct ranges *list, uint64_t frames, uint64_t limit)
{
	const struct boot_range *best = NULL;

	for (unsigned int i = 0; i < list->n; i++) {
		const struct boot_range *r = &list->r[i];

		if (r->frames >= frames && r->pfn + frames <= limit &&
		    (!best || r->frames < best->frames))
			best = r;
	}
	return best ? best->pfn : UINT64_MAX;
}
