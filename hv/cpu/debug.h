/* SPDX-License-Identifier: MIT */
/* A guest's debug registers: switching them, and instructions that Cleave completes. */
#ifndef HV_DEBUG_H
#define HV_DEBUG_H

#include "mm/types.h"

/* DR0 to DR3 of this CPU. */
void debug_load(const uint64_t dr[4]);
void debug_take(uint64_t dr[4]);

/**
 * debug_io_match() - the I/O breakpoints that an access meets.
 * @dr: DR0 to DR3. @dr7: with CR4.DE set; without it there are no such breakpoints.
 * Return: bits 3:0 of DR6, of breakpoints that are enabled (SDM vol. 3B, "Debug Registers"). Pure.
 */
uint64_t debug_io_match(const uint64_t dr[4], uint64_t dr7, uint16_t port, unsigned int size);

/* The same with the DR0 to DR3 that this CPU holds, its current vCPU's. @cr4: without CR4.DE: 0 */
uint64_t debug_io_hits(uint64_t dr7, uint64_t cr4, uint16_t port, unsigned int size);

#endif
