/* SPDX-License-Identifier: MIT */
/* What this machine's CPU does other than the manuals say, without Cleave in between. A case that a
 * guest cannot pass for that names it, instead of blaming Cleave. */
#ifndef TESTS_MACHINE_PLATFORM_H
#define TESTS_MACHINE_PLATFORM_H

#include <stdbool.h>

#include "guest/test/bad/lax.h"

/* LAX_*. Tries each in root mode. */
unsigned int platform_lax(void);

/* QEMU's software CPU, even if it is below a KVM that answers CPUID in its own name. */
bool platform_is_tcg(void);

#endif
