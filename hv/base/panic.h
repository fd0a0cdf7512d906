/* SPDX-License-Identifier: MIT */
/* Ends the machine when something that must hold does not. */
#ifndef HV_BASE_PANIC_H
#define HV_BASE_PANIC_H

#include "hv/base/trap.h"

/* Load address of the image. A panic also prints addresses relative to it, as the symbols of
 * build/cleave.so are. */
extern uint64_t panic_image_base;

/* Each prints what it knows and the tail of the trace, stops all CPUs and ends with FAIL. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_trap(const struct trap_frame *frame);

/* For a panic that prints more: stop the other CPUs, print with con_printf(), then end. Only one
 * CPU returns from panic_begin(). */
void panic_begin(void);
_Noreturn void panic_end(void);

/* On an NMI: does another CPU's panic stop this CPU? */
bool panic_elsewhere(void);

#endif
