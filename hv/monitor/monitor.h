/* SPDX-License-Identifier: MIT */
/*
 * The monitor: commands on COM4 while a run goes on, and the live feed on COM1. The boot CPU serves
 * both in its loops that wait, in small pieces: with neither of them it costs a look at one byte.
 */
#ifndef HV_MONITOR_MONITOR_H
#define HV_MONITOR_MONITOR_H

#include "hv/monitor/watched.h"

#define MONITOR_POLL_US 2000 /* between two looks at what somebody typed */

/* What precedes the monitor's first byte: the firmware may have used the port, too. */
#define MONITOR_BEGINS "cleave: monitor\r\n"

extern bool monitor_is_on; /* the monitor, or the live feed */

/* Once, before the first run. @commands: take commands; @live: print the feed */
void monitor_open(bool commands, bool live);

/* Says what is left to be said: the machine ends. */
void monitor_close(void);

/* A run begins. @w: stays the caller's, and is what the monitor looks at until monitor_leave() */
void monitor_watch(struct watched *w);
void monitor_leave(void);

/* Serves commands and feed. See monitor_turn(). */
const char *monitor_serve(void);

/**
 * monitor_turn() - call this in each loop in which the boot CPU waits for a run; outside of the
 * second stage, and without a lock. Return: NULL, or why the run must end: somebody said `quit`.
 */
static inline const char *monitor_turn(void)
{
	return monitor_is_on ? monitor_serve() : NULL;
}

#endif
