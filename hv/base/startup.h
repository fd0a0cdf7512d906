/* SPDX-License-Identifier: MIT */
/*
 * How long the machine takes from the image's entry to the first guest's first instruction, part by
 * part. The boot CPU marks the end of each part; what it did since the mark before is that part's.
 * So the parts are the whole: nothing lies between them.
 */
#ifndef HV_BASE_STARTUP_H
#define HV_BASE_STARTUP_H

#include "mm/types.h"

/* X(NAME, name): in the order in which they begin; docs/debugging.md says what each is for. */
#define STARTUP_PARTS(X)                                                                           \
	X(FILES, files)                                                                            \
	X(ACPI, acpi)                                                                              \
	X(TSC, tsc)                                                                                \
	X(PLACES, places)                                                                          \
	X(FIRMWARE, firmware)                                                                      \
	X(TABLES, tables)                                                                          \
	X(FRAMES, frames)                                                                          \
	X(OTHERS, others)                                                                          \
	X(HYPERVISOR, hypervisor)                                                                  \
	X(VM, vm)                                                                                  \
	X(GUEST, guest)                                                                            \
	X(ENTRY, entry)

enum startup_part {
#define X(NAME, name) STARTUP_##NAME,
	STARTUP_PARTS(X)
#undef X
	STARTUP_NPARTS,
};

/* Begins the first part. @entered: TSC at the image's first instruction */
void startup_begin(uint64_t entered);

/* On the boot CPU: ends a part, and begins the next. A part may end several times; its times are
 * added. Has no effect once a guest runs. */
void startup_mark(enum startup_part part);

/* On any CPU: a vCPU is entered at TSC `now`. The first one counts. */
void startup_entered(uint64_t now);

/* On the boot CPU: prints the parts, once a guest has run: a line of JSON, `cleave-boot: {...}`,
 * and if `verbose` one for people. Has no effect a second time. */
void startup_report(bool verbose);

#endif
