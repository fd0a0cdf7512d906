/* SPDX-License-Identifier: MIT */
/* The rate of the TSC. See hv/base/clock.h. */
#include "hv/base/clock.h"

uint64_t clock_khz;
