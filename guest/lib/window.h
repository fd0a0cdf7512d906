/* SPDX-License-Identifier: MIT */
/*
 * A window: virtual addresses beyond those that are mapped 1:1, which show the 2 MiB around any
 * guest-physical address, to be read, written and executed, by user code, too. One vCPU at a
 * time.
 */
#ifndef GUEST_WINDOW_H
#define GUEST_WINDOW_H

#include <stdint.h>

/* Moves the window to a guest-physical address. Returns a pointer to it. */
void *window_at(uint64_t gpa);

#endif
