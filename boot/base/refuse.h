/* SPDX-License-Identifier: MIT */
/*
 * Saying no. No function of boot/ returns an error for what cannot work: a machine or a
 * configuration like that is refused on the spot, in one line.
 */
#ifndef BOOT_BASE_REFUSE_H
#define BOOT_BASE_REFUSE_H

#include "hv/config/config.h"

/* In one line: why Cleave does not start here. Ends the machine as the configuration says, or goes
 * back to the firmware if that is still there and the machine would only be halted. */
_Noreturn void refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The configuration is known: refuse() may end the machine the way it says. */
void refuse_by(enum config_exit way);

#endif
