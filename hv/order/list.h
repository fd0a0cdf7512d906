/* SPDX-License-Identifier: MIT */
/* The orders that have a file of their own. */
#ifndef HV_ORDER_LIST_H
#define HV_ORDER_LIST_H

#include "hv/order/order.h"

extern const struct order order_densest;
extern const struct order order_replay;

#endif
