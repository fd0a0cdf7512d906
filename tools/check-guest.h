/* SPDX-License-Identifier: MIT */
/* Kernels of guests, as the hypervisor would read them. */
#ifndef TOOLS_CHECK_GUEST_H
#define TOOLS_CHECK_GUEST_H

#include <stdint.h>

/* Notes a guest's file, PATH/NAME.bin; later ones than there can be are ignored. */
void guest_file(const char *path);

/**
 * guest_check() - could the hypervisor load this guest?
 * @name: one that was noted, or not; a payload is not looked into
 * @region: bytes of the guest's memory
 * Return: NULL, or a sentence that says what is wrong and what helps.
 */
const char *guest_check(const char *name, uint64_t region);

#endif
