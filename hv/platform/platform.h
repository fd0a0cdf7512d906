/* SPDX-License-Identifier: MIT */
/*
 * What a guest that is a whole system finds around its CPUs, and all vCPUs share: a serial port, a
 * switch to power off and to reset (ACPI, hardware-reduced), and a port through which its user
 * space speaks to the hypervisor. A payload has none of it. Pure; the caller locks.
 *
 * Port WORD_PORT, single bytes. Written: 'R': a migration may begin; 'P', 'F': the guest's verdict
 * on itself is pass, fail. Read: 1 where the guest is asked to finish, 0 before.
 *
 * The other ports take 32 bits, the number of a guest frame. GIVE_PORT, GIVE_2M_PORT: the guest
 * gives back the contents of this page, or of the 512 from there on; they are zeros from then on,
 * and are not fetched. HUGE_PORT: the 512 pages from there on are one huge page of the guest's; is
 * the second stage as large there?
 */
#ifndef HV_PLATFORM_PLATFORM_H
#define HV_PLATFORM_PLATFORM_H

#include <stdatomic.h>

#include "hv/platform/uart.h"
#include "mm/lock.h"

#define WORD_PORT    0x5c0
#define GIVE_PORT    0x5c4
#define GIVE_2M_PORT 0x5c8
#define HUGE_PORT    0x5cc

enum platform_end {
	PLATFORM_RUNS,
	PLATFORM_OFF,   /* the guest switched itself off */
	PLATFORM_RESET, /* it wrote to the reset register, or took a triple fault */
};

struct platform {
	struct spinlock lock; /* protects the port, and words that are written */
	struct uart uart;
	_Atomic uint32_t end;    /* enum platform_end */
	_Atomic bool ready;      /* 'R' */
	_Atomic uint8_t verdict; /* 'P', 'F', 0: none yet */
	/* Not under the lock. */
	_Atomic uint64_t given;      /* pages given back */
	_Atomic uint64_t huge;       /* huge pages told of, */
	_Atomic uint64_t huge_large; /* and those in a leaf of 2 MiB or more */
};

void platform_reset(struct platform *platform);

/* The serial port, the switches and the words are all that moves. Nobody runs the vCPUs. */
void platform_move(const struct platform *from, struct platform *to);

/**
 * platform_in() - IN from a port, of 1 byte; wider ones see no device.
 * @finish: is the guest asked to finish?
 */
uint8_t platform_in(struct platform *platform, uint16_t port, bool finish);

/* OUT of 1 byte. Return: the byte that the guest sends to its console, or -1. */
int platform_out(struct platform *platform, uint16_t port, uint8_t value);

/* --- MSRs that Linux expects, and that hold nothing (SDM vol. 4; APM vol. 2, appendix A) --------
 */

struct platform_msrs {
	uint64_t mtrr_default;
};

void platform_msrs_reset(struct platform_msrs *msrs);

/* 0; -ENOENT: none of these; -EINVAL: raise #GP. @first: is this the boot vCPU? */
int must_check platform_rdmsr(const struct platform_msrs *msrs, uint32_t msr, bool first,
			      uint64_t *value);
int must_check platform_wrmsr(struct platform_msrs *msrs, uint32_t msr, bool first, uint64_t value);

#endif
