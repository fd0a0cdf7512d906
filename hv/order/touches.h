/* SPDX-License-Identifier: MIT */
/*
 * The order in which a guest touched its pages first, as a file: a head, and runs of pages. The
 * machine prints it (`cleave-order:` lines), tools/order makes the file of them.
 */
#ifndef HV_ORDER_TOUCHES_H
#define HV_ORDER_TOUCHES_H

#include "mm/types.h"

#define TOUCHES_MAGIC UINT64_C(0x3172656472766c63) /* "clvrder1" */

/* A run of pages, upwards. Little endian. */
struct touched {
	uint32_t gfn;
	uint32_t frames; /* at least 1 */
};

struct touches {
	const struct touched *run;
	uint64_t n;
};

/**
 * touches_of() - the runs in a file.
 * @data: 8-byte aligned; must stay where it is
 * @frames: of the guest's memory
 * Return: NULL, or what is wrong with the file.
 */
const char *touches_of(struct touches *t, const void *data, uint64_t bytes, uint64_t frames);

#endif
