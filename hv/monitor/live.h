/* SPDX-License-Identifier: MIT */
/*
 * The live feed: a line `cleave-live: {...}` on the console ten times a second, for tools/view.py.
 * docs/view.md says what is in it.
 */
#ifndef HV_MONITOR_LIVE_H
#define HV_MONITOR_LIVE_H

#include "hv/monitor/watched.h"

/* The boot CPU calls this in its loops: prints a few bytes of a line, or, when it is time, makes
 * the next one. */
void live_turn(struct watched *w);

/* The next line comes at once. */
void live_now(void);

/* The range around gfn lost something: shown as such in this run. */
void live_hurt(const struct watched *w, gfn_t gfn, uint64_t frames);

/* Another run begins. */
void live_begin(void);

#endif
