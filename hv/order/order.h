/* SPDX-License-Identifier: MIT */
/*
 * The order in which the background stream pulls the pages that nobody has asked for yet. An order
 * is one row of the table in hv/order/order.c or a file of its own, and a name in
 * hv/config/config.h.
 */
#ifndef HV_ORDER_ORDER_H
#define HV_ORDER_ORDER_H

#include "hv/config/config.h"
#include "hv/order/cursor.h"

struct order {
	/* Sets the cursor to where the order begins. */
	void (*begin)(struct cursor *c);

	/* Finds the next owed page, in a bounded number of looks. False: none found. */
	bool (*look)(struct cursor *c, gfn_t *gfn);

	/* [gfn, gfn + n), found by look(), is under way or here. */
	void (*pass)(struct cursor *c, gfn_t gfn, uint64_t n);

	/* Has it looked at every page once? */
	bool (*through)(const struct cursor *c);

	/* It pulls nothing: pages come when somebody waits for them, or never. */
	bool on_demand;
	bool records; /* in which order that is */
};

const struct order *order_of(enum config_order which);

#endif
