/* SPDX-License-Identifier: MIT */
/* How the machine ends. */
#ifndef HV_ENDING_H
#define HV_ENDING_H

#include "hv/config/config.h"

/* Chooses the way; until then it is EXIT_HALT. */
void ending_init(enum config_exit way);

/* Prints the verdict line, `cleave: verdict PASS` or `cleave: verdict FAIL`, which the launcher
 * turns into its exit status, and ends the machine: port 0x8900 on Bochs, isa-debug-exit at
 * 0xf4 on QEMU (status 33 for PASS, 35 for FAIL), keyboard controller reset, or halt. */
_Noreturn void ending(bool pass);

#endif
