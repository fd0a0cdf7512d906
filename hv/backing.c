/* SPDX-License-Identifier: MIT */
/* Taking and giving back the host frames behind a guest's memory. */
#include "hv/backing.h"

#include "hv/panic.h"
#include "mm/err.h"
#include "mm/machine.h"

static unsigned int level_order(enum pg_level level)
{
	return 9 * (level - 1u);
}

static unsigned int order_for(uint64_t bytes)
{
	unsigned int order = 0;

	while ((PAGE_SIZE << order) < bytes)
		order++;
	return order;
}

int backing_take(struct backing *b, enum pg_level level, uint64_t frames)
{
	hpa_t array;

	*b = (struct backing){ .level = level };
	b->array_order = order_for(frames / level_frames(level) * sizeof(hpa_t));
	array = frame_alloc(&machine_frames, b->array_order);
	if (array.v == HPA_NONE.v)
		return -ENOMEM;
	b->block = direct(array);
	for (; b->blocks < frames / level_frames(level); b->blocks++) {
		hpa_t block = frame_alloc(&machine_frames, level_order(level));

		if (block.v == HPA_NONE.v) {
			backing_give(b);
			return -ENOMEM;
		}
		b->block[b->blocks] = block;
	}
	return 0;
}

void backing_give(struct backing *b)
{
	int err = 0;

	if (!b->block)
		return;
	while (b->blocks)
		err |= frame_free(&machine_frames, b->block[--b->blocks], level_order(b->level));
	err |= frame_free(&machine_frames, direct_hpa(b->block), b->array_order);
	if (err)
		panic("backing frames were not ours to free");
	b->block = NULL;
}

int backing_map(const struct backing *b, struct ept_cpu *me)
{
	uint64_t size = level_frames(b->level);

	for (uint64_t i = 0; i < b->blocks; i++) {
		int err = ept_map(me, i * size, size, b->block[i], EPT_RWX, EPT_WB, EPT_ABSENT);

		if (err)
			return err;
	}
	return 0;
}
