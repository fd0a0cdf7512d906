/* SPDX-License-Identifier: MIT */
/* See tests/machine/hoard.h. */
#include "tests/machine/hoard.h"

#include "mm/machine.h"

#define HOARD_BLOCKS 4096

static struct {
	unsigned int n;
	struct {
		hpa_t block;
		unsigned int order;
	} held[HOARD_BLOCKS];
} hoard;

void hoard_take(unsigned int least)
{
	for (unsigned int order = FRAME_ORDERS; order-- > least;)
		while (hoard.n < HOARD_BLOCKS) {
			hpa_t block = frame_alloc(&machine_frames, order);

			if (block.v == HPA_NONE.v)
				break;
			hoard.held[hoard.n].block = block;
			hoard.held[hoard.n++].order = order;
		}
}

const char *hoard_give(void)
{
	bool junk = machine_frames.junk;
	int err = 0;

	machine_frames.junk = false;
	while (hoard.n) {
		hoard.n--;
		err |= frame_free(&machine_frames, hoard.held[hoard.n].block,
				  hoard.held[hoard.n].order);
	}
	machine_frames.junk = junk;
	return err ? "a hoarded block could not be given back" : NULL;
}
