/* SPDX-License-Identifier: MIT */
/* The orders: one row each. See hv/order/order.h; docs/extending.md adds one. */
#include "hv/order/order.h"

#include "hv/order/list.h"

#define LOOKS 64 /* chunks looked at in one step */

/* --- linear: upwards ------------------------------------------------------------------------ */

static void linear_begin(struct cursor *c)
{
	c->up = c->down = 0;
}

/* --- reverse: downwards ------------------------------------------------------------------- */

static void reverse_begin(struct cursor *c)
{
	c->up = c->down = c->mem->end;
}

/* --- random: chunks in a full-period pseudo-random order ------------------------------------ */

static void random_begin(struct cursor *c)
{
	uint64_t chunks = (c->mem->end + c->chunk - 1) / c->chunk;

	c->lcg = c->step = 0;
	c->period = 1;
	while (c->period < chunks)
		c->period *= 2;
}

/* x -> 5x + 1 modulo a power of two visits all (Hull and Dobell); what lies behind the end is
 * passed over. */
static bool random_look(struct cursor *c, gfn_t *gfn)
{
	gfn_t from, to;

	c->downwards = false;
	for (unsigned int i = 0; i < LOOKS && c->step < c->period; i++) {
		c->step++;
		c->lcg = (c->lcg * 5 + 1) & (c->period - 1);
		*gfn = c->lcg * c->chunk;
		if (*gfn < c->mem->end && cursor_owed(c, *gfn, &from, &to))
			return true;
	}
	return false;
}

static void no_pass(struct cursor *c, gfn_t gfn, uint64_t n)
{
	(void)c;
	(void)gfn;
	(void)n;
}

static bool random_through(const struct cursor *c)
{
	return c->step == c->period;
}

/* --- bubble: outwards from the latest fault, above and below in turn ------------------------- */

static bool bubble_look(struct cursor *c, gfn_t *gfn)
{
	if (c->centre != c->mem->pager.last_fault) {
		c->centre = c->mem->pager.last_fault;
		c->up = c->centre;
		c->down = c->centre;
	}
	c->turn = !c->turn;
	if (c->turn)
		return cursor_look_up(c, gfn) || cursor_look_down(c, gfn);
	return cursor_look_down(c, gfn) || cursor_look_up(c, gfn);
}

/* --- none, record: nothing but what somebody waits for --------------------------------------- */

static bool none_look(struct cursor *c, gfn_t *gfn)
{
	(void)c;
	(void)gfn;
	return false;
}

static bool none_through(const struct cursor *c)
{
	(void)c;
	return false;
}

static const struct order order_linear = {
	.begin = linear_begin,
	.look = cursor_look_up,
	.pass = cursor_pass,
	.through = cursor_through,
};

static const struct order order_reverse = {
	.begin = reverse_begin,
	.look = cursor_look_down,
	.pass = cursor_pass,
	.through = cursor_through,
};

static const struct order order_random = {
	.begin = random_begin,
	.look = random_look,
	.pass = no_pass,
	.through = random_through,
};

static const struct order order_bubble = {
	.begin = linear_begin,
	.look = bubble_look,
	.pass = cursor_pass,
	.through = cursor_through,
};

static const struct order order_none = {
	.begin = linear_begin,
	.look = none_look,
	.pass = no_pass,
	.through = none_through,
	.on_demand = true,
};

static const struct order order_record = {
	.begin = linear_begin,
	.look = none_look,
	.pass = no_pass,
	.through = none_through,
	.on_demand = true,
	.records = true,
};

/* A name in the list without an order above does not compile. */
static const struct order *const orders[] = {
#define X(id, name) [ORDER_##id] = &order_##name,
	CONFIG_ORDERS(X)
#undef X
};

const struct order *order_of(enum config_order which)
{
	return orders[which];
}
