/* SPDX-License-Identifier: MIT */
/* The policies, one row each: in hv/policy/policy.c, or in a file of its own. */
#ifndef HV_POLICY_LIST_H
#define HV_POLICY_LIST_H

#include "hv/policy/policy.h"

#define X(id, name) extern const struct policy policy_##name;
CONFIG_POLICIES(X)
#undef X

#endif
