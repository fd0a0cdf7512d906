/* SPDX-License-Identifier: MIT */
/* What both ends of a migration between two machines set up alike: the transport, the key, and what
 * a side offers to the other. */
#ifndef HV_MIGRATE_END_H
#define HV_MIGRATE_END_H

#include "hv/config/boot_info.h"
#include "hv/cpu/vm.h"
#include "hv/link/link.h"
#include "hv/net/transport.h"

struct end {
	struct transport *transport;
	struct link_key key;
	struct link_random random;
	uint64_t limit; /* us; from limit= */
};

/* NULL; or why this machine cannot be one, after printing what helps. */
const char *must_check end_open(struct end *end, const struct run_config *config,
				const struct boot_info *info);

/* What this machine can do for this VM, and needs. @told: what the VM's guest has been told of its
 * CPU; else what a guest could be told here. @packs: pages may travel
 * packed. */
void end_offer(struct link_offer *offer, const struct vm *vm, bool told, bool packs);

/* For loops that wait for the other side: lets the CPU sleep for a moment if there was nothing to
 * do for a while. Boot CPU only, while no vCPU runs on it. */
void end_rest(bool busy);

/* Call it before a datagram is opened or sealed: the ciphers may use vector registers. */
void end_before(void);

/* Microseconds of the machine's clock. */
uint64_t end_now(void);

#endif
