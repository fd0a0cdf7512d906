/* SPDX-License-Identifier: MIT */
/* collapse=budget: complete ranges wait in a queue; at most budget= collapse per millisecond. */
#ifndef HV_POLICY_BUDGET_H
#define HV_POLICY_BUDGET_H

#include "hv/policy/policy.h"

/* See struct policy. One memory at a time has the queue; other memories collapse at once. */
void budget_begin(struct memory *mem, const struct run_config *config);
void budget_complete(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level);
bool budget_step(struct memory *mem, unsigned int cpu);
bool budget_finish(struct memory *mem, unsigned int cpu);

#endif
