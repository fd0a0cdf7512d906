/* SPDX-License-Identifier: MIT */
/* The plan that boot/firmware/ makes, while there is a firmware to ask, for boot/bringup/. */
#ifndef BOOT_BASE_PLAN_H
#define BOOT_BASE_PLAN_H

#include "boot/base/cpu_list.h"
#include "boot/base/ranges.h"

/* Stacks of a CPU: its main one, and those that some vectors switch to, as numbered in the IDT. */
enum {
	STACK_MAIN = 0,
	IST_NMI,
	IST_DOUBLE_FAULT,
	IST_MACHINE_CHECK,
	CPU_STACKS
};

#define BOOT_IOAPICS_MAX 128

struct boot_plan {
	struct cpu_list cpus;
	unsigned int nioapics;             /* 0: the firmware does not list them */
	uint32_t ioapic[BOOT_IOAPICS_MAX]; /* addresses, bytes */
	hpa_t frames;                      /* room for the frame descriptors */
	struct ranges described;           /* the frames that have one, in that order */
	hpa_t early;                       /* pages for tables and stacks, below 4 GiB */
	uint64_t nearly;                   /* frames */
	hpa_t trampoline;                  /* one page below 1 MiB */
	struct ranges ram;                 /* mapped by the direct map, with the image */
	struct ranges usable;
};

#endif
