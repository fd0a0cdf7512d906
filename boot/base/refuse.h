/* SPDX-License-Identifier: MIT */
/*
 * Saying no. No function of boot/ returns an error for a machine or a configuration that cannot
 * work: it refuses that on the spot, in one line.
 */
#ifndef BOOT_BASE_REFUSE_H
#define BOOT_BASE_REFUSE_H

#include "hv/config/config.h"

/* Prints one line, why Cleave does not start here. Ends the machine as the configuration says, or
 * returns to the firmware if that is still there and the machine would only halt. */
_Noreturn void refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Tells refuse() that the configuration is known: it may end the machine that way. */
void refuse_by(enum config_exit way);

#endif
