/* SPDX-License-Identifier: MIT */
/*
 * The state of a vCPU that a payload has no use for: vector registers, MXCSR, x87, segment bases,
 * MSRs of system calls, PAT, debug registers, CR2, CR8, the TSC's distance. It is planted before
 * each pass and looked at after it, so that a hypervisor that forgets some of it, switching between
 * vCPUs or moving one, is found out.
 */
#ifndef GUEST_STATE_H
#define GUEST_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct state_loss {
	const char *name;
	uint64_t expected;
	uint64_t found;
};

/* Plants values that the seed chooses. */
void state_plant(uint64_t seed);

/* False if all is as planted; otherwise the first loss. */
bool state_lost(uint64_t seed, struct state_loss *loss);

#endif
