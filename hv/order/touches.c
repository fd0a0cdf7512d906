/* SPDX-License-Identifier: MIT */
/* An order as a file. See hv/order/touches.h. */
#include "hv/order/touches.h"

const char *touches_of(struct touches *t, const void *data, uint64_t bytes, uint64_t frames)
{
	const struct touched *run = (const struct touched *)((const char *)data + 8);
	uint64_t magic;

	if (bytes < sizeof(magic) || bytes % sizeof(*run))
		return "the recorded order is no whole file of tools/order";
	__builtin_memcpy(&magic, data, sizeof(magic));
	if (magic != TOUCHES_MAGIC)
		return "the recorded order is no file of tools/order";
	*t = (struct touches){ .run = run, .n = bytes / sizeof(*run) - 1 };
	for (uint64_t i = 0; i < t->n; i++)
		if (!run[i].frames || (uint64_t)run[i].gfn + run[i].frames > frames)
			return "the recorded order has pages that this guest has not: set the same region=";
	return NULL;
}
