/* SPDX-License-Identifier: MIT */
/* The console of a guest that is a whole system: COM2, its bytes as they are. Apart from ours, so
 * that no guest can speak in Cleave's name. */
#ifndef HV_GUEST_CONSOLE_H
#define HV_GUEST_CONSOLE_H

#include "mm/types.h"

/* What precedes the guest's first byte: the firmware may have used the port, too. */
#define GUEST_CONSOLE_BEGINS "cleave: guest console\r\n"

/* Opens it, anew for each guest. */
void guest_console_open(void);

/* From any CPU. */
void guest_console_put(uint8_t byte);

/* A byte for the guest, or -1. Boot CPU only. */
int guest_console_get(void);

#endif
